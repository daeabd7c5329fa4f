"""Runs that are killed, stopped, starved or wrong lose nothing.

Most tests train a tiny network in this process, where a kill is an exception that
nothing catches; the last one kills and stops real processes.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.summary.summary_iterator import summary_iterator

from normtest_tf import (
    checkpoints,
    classifier,
    datasets,
    errors,
    files,
    finetuning,
    locks,
    recording,
    runs,
    stopping,
    training,
)

ROOT = pathlib.Path(__file__).parent.parent
EPOCHS = 4
CLOCKS = ("seconds", "images_per_second")


class Killed(BaseException):
    """Ends a run as abruptly as an exception can."""


def tiny_classifier(*_, image_shape, num_classes, seed, **__):
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input(image_shape, dtype="uint8"),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(4, 3, strides=2),
        keras.layers.BatchNormalization(momentum=0.9),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dropout(0.1, seed=seed),
        keras.layers.Dense(num_classes),
    ]
    return keras.Sequential(layers), []


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits").take(70, 20)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(classifier, "build_classifier", tiny_classifier)


@pytest.fixture
def config(tmp_path, tiny):
    return new_config(tmp_path)


def new_config(folder, **values):
    values = {"epochs": EPOCHS, "keep": "best_test", "learning_rate": 0.01} | values
    return runs.RunConfig(
        dataset="digits",
        model="cifar_resnet8",
        batch_size=32,
        results_dir=str(folder),
        **values,
    )


def outcome(config):
    """Returns what must not depend on interruptions: history, weights, choices."""
    result = runs.read_json(config.folder / "result.json")
    chosen = {k: v for k, v in result.items() if k.endswith(("epoch", "accuracy"))}
    rows = [
        {name: value for name, value in row.items() if name not in CLOCKS}
        for row in runs.read_history(config.folder)
    ]
    model = keras.models.load_model(config.folder / "model.keras")
    return rows, [weights.tobytes() for weights in model.get_weights()], chosen


@pytest.fixture(scope="module")
def expected(tmp_path_factory, digits):
    config = new_config(tmp_path_factory.mktemp("uninterrupted"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "build_classifier", tiny_classifier)
        finetuning.run(config, digits)
    return outcome(config)


@contextlib.contextmanager
def ending(owner, name, *, call, after=False, error=Killed):
    """Raises an error before or after one call of a function."""
    real, calls = getattr(owner, name), []

    def wrapped(*args, **options):
        calls.append(None)
        if len(calls) == call and not after:
            raise error
        result = real(*args, **options)
        if len(calls) == call:
            raise error
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, wrapped)
        yield


def names(config):
    return {path.name for path in config.folder.iterdir()}


@pytest.mark.parametrize(
    ("owner", "name", "call", "after", "resumed"),
    [
        (runs, "start_afresh", 1, True, []),
        (training.LossGuard, "on_train_batch_end", 2, True, []),
        (runs, "write_history", 1, True, []),
        (runs, "write_history", 2, False, [1]),
        (os, "replace", 7, False, [2]),
        (checkpoints.Store, "write", 3, True, [3]),
        (training.LossGuard, "on_train_batch_end", 11, False, [3]),
        (checkpoints.Store, "write", EPOCHS, True, [EPOCHS]),
        (keras.Model, "save", 1, True, [EPOCHS]),
    ],
)
def test_a_killed_run_ends_as_an_uninterrupted_one(
    owner, name, call, after, resumed, config, digits, expected
):
    with ending(owner, name, call=call, after=after), pytest.raises(Killed):
        finetuning.run(config, digits)
    assert not runs.is_finished(config.folder)
    result = finetuning.run(config, digits)
    assert result["resumed_epochs"] == resumed
    assert outcome(config) == expected
    assert "checkpoints" not in names(config)


def test_a_run_killed_right_after_its_result_is_finished(config, digits, expected):
    with ending(checkpoints.Store, "remove", call=1), pytest.raises(Killed):
        finetuning.run(config, digits)
    assert "checkpoints" in names(config)
    finetuning.run(config, digits)
    assert "checkpoints" not in names(config)
    assert outcome(config) == expected


def test_times_add_up_and_tensorboard_shows_each_epoch_once(config, digits):
    for call in (4, 1):
        with ending(runs, "write_history", call=call + 1), pytest.raises(Killed):
            finetuning.run(config, digits)
    # The second process wrote the old rows and was killed in the epoch after.
    result = finetuning.run(config, digits)
    assert result["resumed_epochs"] == [EPOCHS]
    history = runs.read_history(config.folder)
    total = sum(row["seconds"] for row in history)
    assert result["train_seconds"] == pytest.approx(total, abs=0.01)
    assert result["total_seconds"] > result["train_seconds"]
    (events,) = (config.folder / "tensorboard").iterdir()
    steps = [
        event.step
        for event in summary_iterator(str(events))
        for value in event.summary.value
        if value.tag == "test/loss"
    ]
    assert steps == list(range(1, EPOCHS + 1))


def kill_after(config, digits, epochs):
    with (
        ending(checkpoints.Store, "write", call=epochs, after=True),
        pytest.raises(Killed),
    ):
        finetuning.run(config, digits)


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_damaged_checkpoints_are_passed_over(config, digits, expected, capsys):
    kill_after(config, digits, 3)
    copy = dataclasses.replace(config, results_dir=f"{config.results_dir}/copy")
    shutil.copytree(config.folder, copy.folder)
    damage(config.folder / "checkpoints" / "epoch-00003.ckpt")
    assert finetuning.run(config, digits)["resumed_epochs"] == [2]
    assert "epoch-00003.ckpt: its content is damaged" in capsys.readouterr().out
    assert outcome(config) == expected
    for path in (copy.folder / "checkpoints").iterdir():
        damage(path)
    assert finetuning.run(copy, digits)["resumed_epochs"] == []
    assert "no checkpoint is readable: the run starts afresh" in capsys.readouterr().out
    assert outcome(copy) == expected


def test_another_run_is_never_taken_up(config, digits, monkeypatch):
    kill_after(config, digits, 2)
    with pytest.raises(errors.UsageError, match=r"an unfinished run .*batch_size=32 "):
        finetuning.run(dataclasses.replace(config, batch_size=16), digits)
    images = digits.train_images.copy()
    images[0, 0, 0, 0] ^= 1
    changed = dataclasses.replace(digits, train_images=images)
    with pytest.raises(errors.UsageError, match="data_fingerprint=.* there, "):
        finetuning.run(config, changed)
    # Without config.json the checkpoint itself still knows.
    (config.folder / "config.json").unlink()
    with pytest.raises(errors.UsageError, match="requested batch_size=32 there, "):
        finetuning.run(dataclasses.replace(config, batch_size=16), digits)

    def other_weights(*args, seed, **options):
        return tiny_classifier(*args, seed=seed + 1, **options)

    monkeypatch.setattr(classifier, "build_classifier", other_weights)
    with pytest.raises(errors.UsageError, match="initial_weights="):
        finetuning.run(config, digits)


def test_a_killed_overwrite_goes_on_without_overwrite(config, digits, expected):
    finetuning.run(dataclasses.replace(config, epochs=1), digits)
    kill_after(dataclasses.replace(config, overwrite=True), digits, 2)
    assert not runs.is_finished(config.folder)
    assert finetuning.run(config, digits)["resumed_epochs"] == [2]
    assert outcome(config) == expected


@pytest.mark.parametrize(("every", "kept"), [(1, [1, 2]), (3, [2])])
def test_sigterm_leaves_the_last_epoch(every, kept, config, digits, expected):
    config = dataclasses.replace(config, checkpoint_every=every)
    add = recording.Recorder.add

    def add_and_signal(self, row):
        add(self, row)
        if row["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording.Recorder, "add", add_and_signal)
        with pytest.raises(errors.Interrupted, match=r"SIGTERM; .* 2 of 4 ") as caught:
            finetuning.run(config, digits)
    assert caught.value.status == 143
    assert signal.getsignal(signal.SIGTERM) is before
    stored = sorted(path.name for path in (config.folder / "checkpoints").iterdir())
    assert stored == [f"epoch-{epoch:05}.ckpt" for epoch in kept]
    assert finetuning.run(config, digits)["resumed_epochs"] == [2]
    assert outcome(config) == expected


def test_a_signal_at_the_very_end_is_not_swallowed(config, digits):
    save = keras.Model.save

    def save_and_signal(self, path):
        os.kill(os.getpid(), signal.SIGINT)
        save(self, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "save", save_and_signal)
        with pytest.raises(errors.Interrupted, match="is finished") as caught:
            finetuning.run(config, digits)
    assert caught.value.status == 130
    assert runs.is_finished(config.folder)


def test_signals_outside_of_the_main_thread_and_a_second_one():
    failures = []

    def use():
        try:
            with stopping.StopRequest() as stop:
                assert stop.received is None
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert failures == []
    with pytest.raises(KeyboardInterrupt), stopping.StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.received is signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)


HOLDER = """
import pathlib, sys, time
from normtest_tf import locks
with locks.only_writer(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold(folder, seconds):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_folder_has_one_writer(config, digits):
    with hold(config.folder, 600) as process:
        with pytest.raises(errors.Locked, match=r"seed-223; .*--results_dir"):
            finetuning.run(config, digits)
        process.kill()
    finetuning.run(dataclasses.replace(config, epochs=1), digits)
    with (
        hold(config.folder, 1),
        locks.only_writer(config.folder, wait=True),
    ):
        pass


def test_a_loss_that_is_not_finite_stops_the_run(config, digits, expected):
    real = training.EpochCosine.__call__

    def explodes(self, step):
        exploded = keras.ops.cast(step >= 2 * self.steps_per_epoch, "float32")
        return real(self, step) + 1e38 * 1e38 * exploded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.EpochCosine, "__call__", explodes)
        with pytest.raises(errors.TrainingFailed, match="last good epoch is 2"):
            finetuning.run(config, digits)
    failed = runs.read_json(config.folder / "failed.json")
    rate = training.EpochCosine(0.01, 3, EPOCHS).at_epoch(2)
    assert "train_loss is not finite" in failed.pop("error")
    assert failed == {
        "format": runs.FORMAT,
        "epoch": 3,
        "step": 2,
        "learning_rate": rate,
        "last_good_epoch": 2,
    }
    assert finetuning.run(config, digits)["resumed_epochs"] == [2]
    assert "failed.json" not in names(config)
    assert outcome(config) == expected


def test_a_loss_that_is_not_finite_after_the_last_step(config, digits):
    def no_number(*_):
        return float("nan"), 0.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "evaluate", no_number)
        with pytest.raises(errors.TrainingFailed, match="test_loss is not finite"):
            finetuning.run(config, digits)
    assert not (config.folder / "history.csv").exists()


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("owner", "name", "call", "error"),
    [
        (checkpoints.Store, "write", 2, FULL),
        (keras.Model, "save", 1, FULL),
        (files, "write_json", 1, OSError(30, "Read-only file system")),
        (
            tf.summary,
            "scalar",
            9,
            tf.errors.ResourceExhaustedError(None, None, "No space left on device"),
        ),
    ],
)
def test_a_full_disk_costs_nothing(owner, name, call, error, config, digits, expected):
    with (
        ending(owner, name, call=call, error=error),
        pytest.raises(errors.UsageError, match=r"(No space|Read-only).*same command"),
    ):
        finetuning.run(config, digits)
    finetuning.run(config, digits)
    assert outcome(config) == expected


def test_a_folder_that_vanishes_is_not_made_again(config, digits):
    evaluate = training.evaluate

    def removing(*args):
        shutil.rmtree(config.folder)
        return evaluate(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "evaluate", removing)
        with pytest.raises(errors.UsageError, match="the folder was removed"):
            finetuning.run(config, digits)
    assert not config.folder.exists()


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no tmpfs can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk, tiny, digits, expected):
    config = new_config(small_disk)
    filler = small_disk / "filler"
    messages = []
    for room in (4, 24, 40, 56, 72):
        filler.unlink(missing_ok=True)
        free = shutil.disk_usage(small_disk).free
        filler.write_bytes(bytes(max(0, free - room * 1024)))
        try:
            finetuning.run(config, digits)
        except errors.UsageError as error:
            messages.append(str(error))
    assert messages
    assert all("space" in message.lower() for message in messages)
    filler.unlink()
    finetuning.run(config, digits)
    assert outcome(config) == expected


KILLED_WHILE_WRITING = """
import os, pathlib, signal
from experiments import common, train

write_bytes = pathlib.Path.write_bytes

def half(self, data):
    if self.name == "epoch-00002.ckpt":
        write_bytes(self, data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return write_bytes(self, data)

pathlib.Path.write_bytes = half
common.run(train.main)
"""


def program(arguments, results_dir):
    return subprocess.Popen(
        [
            sys.executable,
            *arguments,
            "--dataset=digits",
            "--model=cifar_resnet8",
            "--train_examples=70",
            "--test_examples=20",
            "--batch_size=32",
            f"--epochs={EPOCHS}",
            f"--results_dir={results_dir}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def test_processes_that_are_killed_and_stopped(tmp_path, digits):
    killed = program(["-c", KILLED_WHILE_WRITING], tmp_path / "killed")
    _, complaints = killed.communicate()
    assert killed.returncode == -signal.SIGKILL, complaints
    config = new_config(tmp_path / "killed", keep="final", learning_rate=1e-3)
    config = dataclasses.replace(config, train_examples=70, test_examples=20)
    leftovers = [path.name for path in config.folder.rglob(f"{files.TEMPORARY}*")]
    assert len(leftovers) == 1

    stopped = program(["-m", "experiments.train"], tmp_path / "killed")
    for line in stopped.stdout:
        if line.startswith("epoch 2"):
            stopped.send_signal(signal.SIGTERM)
    assert stopped.wait() == 143
    (line,) = stopped.stderr.read().splitlines()
    assert "stopped by SIGTERM" in line
    assert "the same command goes on" in line
    assert not list(config.folder.rglob(f"{files.TEMPORARY}*"))

    (resumed_from,) = finetuning.run(config, digits)["resumed_epochs"][1:]
    assert resumed_from in (2, 3)
    whole = dataclasses.replace(config, results_dir=str(tmp_path / "whole"))
    finetuning.run(whole, digits)
    assert outcome(config) == outcome(whole)
