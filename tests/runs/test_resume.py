"""Runs that are killed or stopped go on and end as if nothing had happened.

Most tests train a tiny network in this process, where a kill is an exception that
nothing catches; the last one kills and stops real processes.
"""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading

import keras
import pytest
from tensorflow.python.summary.summary_iterator import summary_iterator

from normtest_tf import errors, runs, training
from normtest_tf.runs import checkpoints, finetuning, recorder
from normtest_tf.system import files, signals
from normtest_tf.training import classifier
from tests.helpers import ROOT, tiny_runs
from tests.helpers.tiny_runs import EPOCHS, Killed, ending, names, new_config, outcome


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
    # The first call of the second run writes the row of the first run again.
    for call in (2, 3):
        with ending(runs, "write_history", call=call), pytest.raises(Killed):
            finetuning.run(config, digits)
    result = finetuning.run(config, digits)
    assert result["resumed_epochs"] == [1, 2]
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
    with pytest.raises(errors.UsageError, match=r"data_fingerprint=.* there, "):
        finetuning.run(config, changed)
    # Without config.json the checkpoint itself still knows.
    (config.folder / "config.json").unlink()
    with pytest.raises(errors.UsageError, match="requested batch_size=32 there, "):
        finetuning.run(dataclasses.replace(config, batch_size=16), digits)

    def other_weights(*args, seed, **options):
        return tiny_runs.tiny_classifier(*args, seed=seed + 1, **options)

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
    add = recorder.Recorder.add

    def add_and_signal(self, row):
        add(self, row)
        if row["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder.Recorder, "add", add_and_signal)
        with pytest.raises(errors.Interrupted, match=r"SIGTERM; .* 2 of 4 ") as caught:
            finetuning.run(config, digits)
    assert caught.value.status == 143
    assert signal.getsignal(signal.SIGTERM) is before
    stored = sorted(path.name for path in (config.folder / "checkpoints").iterdir())
    assert stored == [f"epoch-{epoch:05}.ckpt" for epoch in kept]
    assert finetuning.run(config, digits)["resumed_epochs"] == [2]
    assert outcome(config) == expected


@pytest.fixture
def ctrl_c():
    """Makes Ctrl-C act, also where pytest runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_at_the_very_end_is_not_swallowed(config, digits, ctrl_c):
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


def test_signals_that_are_ignored_stay_so(ctrl_c):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with signals.StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.received is None
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_signals_outside_of_the_main_thread_and_a_second_one(ctrl_c):
    failures = []

    def use():
        try:
            with signals.StopRequest() as stop:
                assert stop.received is None
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert failures == []
    with signals.StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.received is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


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
    with program(["-c", KILLED_WHILE_WRITING], tmp_path / "killed") as killed:
        _, complaints = killed.communicate()
        assert killed.returncode == -signal.SIGKILL, complaints
    config = new_config(tmp_path / "killed", keep="final", learning_rate=1e-3)
    config = dataclasses.replace(config, train_examples=70, test_examples=20)
    leftovers = [path.name for path in config.folder.rglob(f"{files.TEMPORARY}*")]
    assert len(leftovers) == 1

    with program(["-m", "experiments.train"], tmp_path / "killed") as stopped:
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
