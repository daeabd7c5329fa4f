"""Killed and stopped runs resume, and end like uninterrupted ones.

Most tests train a tiny network in this process, where a kill is an exception that
nothing catches; the last one, of the campaign, kills and stops real processes.
"""

import dataclasses
import hashlib
import json
import signal
import time

import keras
import numpy as np
import pytest
from tensorflow.python.summary.summary_iterator import summary_iterator

from normtest_tf import errors
from normtest_tf.runs import RULES, finetuning, recorder
from normtest_tf.system import files
from normtest_tf.training import classifier
from normtest_tf.training.recipe import Recipe, compile_for_training
from tests.helpers import faults, programs, tiny_runs
from tests.helpers.tiny_runs import EPOCHS, names, new_config, outcome


def kill(config, digits, fault):
    """Runs until a fault kills the run; returns its messages."""
    notes = []
    with fault, pytest.raises(faults.Killed):
        finetuning.run(config, digits, notify=notes.append)
    return notes


def test_a_run_killed_at_every_point_ends_like_an_uninterrupted_one(
    config, digits, expected
):
    for fault, moment, resumed in [
        (faults.after_emptying_folder, [], 0),
        (faults.after_step, [1, 2], 0),
        (faults.after_writing_history, [1], 0),
        (faults.before_writing_history, [2], 0),
        (faults.while_writing_checkpoint, [3], 1),
        (faults.before_renaming_checkpoint, [3], 2),
        (faults.after_epoch, [3], 2),
        (faults.after_step, [4, 2], 3),
        (faults.after_epoch, [EPOCHS], 3),
        (faults.after_saving_model, [], EPOCHS),
        (faults.before_writing_result, [], EPOCHS),
        (faults.before_removing_checkpoints, [], EPOCHS),
    ]:
        notes = kill(config, digits, fault(*moment))
        told = [f"resuming after epoch {resumed} of {EPOCHS}"] if resumed else []
        assert notes == told, fault.__name__
        is_last = fault is faults.before_removing_checkpoints
        assert config.folder.is_finished() == is_last
    assert "checkpoints" in names(config)
    result = finetuning.run(config, digits)
    assert "checkpoints" not in names(config)
    assert outcome(config) == expected
    # The processes that recorded an epoch.
    assert result.resumed_epochs == (1, 2, 3, EPOCHS)
    total = sum(row["seconds"] for row in config.folder.read_history())
    assert result.train_seconds == pytest.approx(total, abs=0.01)
    assert result.total_seconds > result.train_seconds
    (events,) = config.folder.tensorboard.iterdir()
    tags = [
        (event.step, value.tag)
        for event in summary_iterator(str(events))
        for value in event.summary.value
    ]
    assert [step for step, tag in tags if tag == "test/loss"] == [1, 2, 3, 4]


def cut_in_half(folder, epoch):
    path = folder / recorder.file_name(epoch)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_corrupt_checkpoints_are_reported_and_skipped(config, digits, expected):
    kill(config, digits, faults.after_epoch(1))
    cut_in_half(config.folder.checkpoints, 1)
    corrupt, whole = kill(config, digits, faults.after_epoch(3))
    assert "epoch-00001.ckpt: its content is corrupt" in corrupt
    assert whole == "no checkpoint can be read: the run starts anew"
    cut_in_half(config.folder.checkpoints, 3)
    notes = []
    result = finetuning.run(config, digits, notify=notes.append)
    assert "epoch-00003.ckpt: its content is corrupt" in notes[0]
    assert result.resumed_epochs == (2,)
    assert outcome(config) == expected


def test_another_run_is_never_resumed_from(config, digits, monkeypatch):
    kill(config, digits, faults.after_epoch(1))
    images = digits.train_images.copy()
    images[0, 0, 0, 0] ^= 1
    changed = dataclasses.replace(digits, train_images=images)
    smaller = dataclasses.replace(config, batch_size=16)

    def refuse(config, images, words):
        with pytest.raises(errors.UsageError, match=words):
            finetuning.run(config, images)

    refuse(smaller, digits, "an unfinished run .*batch_size=32 ")
    refuse(config, changed, "an unfinished run with another data set")
    # Without config.json, the checkpoint itself still identifies the run.
    config.folder.config.unlink()
    refuse(smaller, digits, "requested batch_size=32 there, ")

    def other_weights(*args, seed, **options):
        return tiny_runs.tiny_classifier(*args, seed=seed + 1, **options)

    monkeypatch.setattr(classifier, "build_classifier", other_weights)
    refuse(config, digits, "initial_weights=")


def test_a_killed_overwrite_resumes_without_overwrite(config, digits, expected):
    finetuning.run(dataclasses.replace(config, epochs=1), digits)
    overwriting = dataclasses.replace(config, overwrite=True)
    assert kill(overwriting, digits, faults.after_epoch(2)) == []
    assert not config.folder.is_finished()
    assert finetuning.run(config, digits).resumed_epochs == (2,)
    assert outcome(config) == expected
    assert len(list(config.folder.tensorboard.iterdir())) == 1


def test_a_run_of_seconds_copies_nothing_for_checkpoints(
    config, digits, expected, monkeypatch
):
    config = dataclasses.replace(config, checkpoint_every=None)
    copied = []
    original = recorder.RunState.to_checkpoint
    monkeypatch.setattr(
        recorder.RunState,
        "to_checkpoint",
        lambda state, *args: copied.append(len(state.rows)) or original(state, *args),
    )
    finetuning.run(config, digits)
    assert outcome(config) == expected
    assert copied == []
    monkeypatch.setattr(recorder, "CHECKPOINT_SECONDS", 0)
    finetuning.run(dataclasses.replace(config, overwrite=True), digits)
    assert copied == [*range(1, EPOCHS + 1)]


STOPPED_WHILE_WRITING = """
import signal
from experiments import train
from experiments.support import program
from tests.helpers import faults

with faults.while_writing_checkpoint(2, then=faults.send(signal.SIGTERM)):
    program.run(train.main)
"""
FLAGS = (
    *("--dataset=digits", "--model=cifar_resnet8", "--train_examples=70"),
    *("--test_examples=20", "--batch_size=32", f"--epochs={EPOCHS}"),
    "--checkpoint_every=1",
)
STOPPED = "stopped by {}; the same command resumes what is recorded\n"


@pytest.mark.campaign
def test_stopped_processes_end_like_an_uninterrupted_one(tmp_path, digits):
    config = new_config(tmp_path / "killed", keep="final", learning_rate=1e-3)
    config = dataclasses.replace(config, train_examples=70, test_examples=20)
    flags = [*FLAGS, f"--results_dir={config.results_dir}"]
    done = programs.run_python("-c", STOPPED_WHILE_WRITING, *flags)
    assert done.returncode == 143
    assert done.stderr.endswith(STOPPED.format("SIGTERM"))  # After TensorFlow's log.
    assert not list(config.folder.path.rglob(f"{files.TEMPORARY}*"))

    with programs.start("train", *flags) as stopped:
        for line in stopped.stdout:
            if line.startswith("epoch 2"):  # It has its checkpoint.
                stopped.send_signal(signal.SIGINT)
        assert stopped.wait() == 130
        assert stopped.stderr.read() == STOPPED.format("SIGINT")
    assert not list(config.folder.path.rglob(f"{files.TEMPORARY}*"))

    (resumed_from,) = finetuning.run(config, digits).resumed_epochs[1:]
    assert resumed_from in (2, 3)
    whole = dataclasses.replace(config, results_dir=str(tmp_path / "whole"))
    finetuning.run(whole, digits)
    assert outcome(config) == outcome(whole)


RNG = np.random.default_rng(0)


def checkpoint(epoch=3):
    tensors = {
        "model/00000": RNG.normal(size=(3, 4)).astype("float32"),
        "model/00001": np.array([np.nan, -0.0, np.inf], "float32"),
        "optimizer/00000": np.array(7, "int64"),
        "empty": np.zeros((0, 2), "float16"),
    }
    meta = {"rows": [{"epoch": 1, "train_loss": 0.1 + 0.2}], "kept": None}
    return recorder.Checkpoint(epoch, meta, tensors)


def test_a_checkpoint_is_read_back_bit_by_bit(tmp_path):
    written = checkpoint()
    recorder.Store(tmp_path).write(written)
    read, problems = recorder.Store(tmp_path).read_latest()
    assert problems == []
    assert (read.epoch, read.meta) == (written.epoch, written.meta)
    assert read.tensors.keys() == written.tensors.keys()
    for name, array in written.tensors.items():
        other = read.tensors[name]
        assert (array.dtype, array.shape) == (other.dtype, other.shape)
        assert array.tobytes() == other.tobytes()


def test_whatever_is_damaged_is_refused(tmp_path):
    data = recorder.encode(checkpoint())
    cut = [data[:length] for length in range(len(data))]
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        cut.append(bytes(changed))
    for damaged in (*cut, data + b"\0"):
        with pytest.raises(ValueError, match="corrupt or incomplete"):
            recorder.decode(damaged)
    store = recorder.Store(tmp_path)
    for content in (b"", b"no safetensors", b"\xff" * 100):  # It never was one.
        whole = recorder.MAGIC + hashlib.sha256(content).digest() + content
        (tmp_path / recorder.file_name(1)).write_bytes(whole)
        nothing, (problem,) = store.read_latest()
        assert nothing is None
        assert problem.startswith("skipped the checkpoint")


def test_the_last_two_good_checkpoints_are_kept(tmp_path):
    folder = tmp_path / "checkpoints"
    store = recorder.Store(folder)

    def kept():
        return sorted(
            int(path.stem.removeprefix("epoch-")) for path in folder.iterdir()
        )

    for epoch in (1, 2, 9, 10):
        store.write(checkpoint(epoch))
    assert kept() == [9, 10]
    no_json = dataclasses.replace(checkpoint(11), meta={"loss": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        store.write(no_json)
    assert kept() == [9, 10]
    cut_in_half(folder, 10)
    again = recorder.Store(folder)
    read, (problem,) = again.read_latest()
    assert read.epoch == 9
    assert "epoch-00010.ckpt: its content is corrupt" in problem
    again.write(checkpoint(11))
    assert kept() == [9, 11]
    cut_in_half(folder, 11)
    cut_in_half(folder, 9)
    nothing, problems = recorder.Store(folder).read_latest()
    assert (nothing, len(problems)) == (None, 2)
    store.remove()
    assert list(tmp_path.iterdir()) == []
    assert store.read_latest() == (None, [])


def model_with(value):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.set_weights([np.full((1, 1), value), np.zeros(1)])
    compile_for_training(model, Recipe(epochs=4, batch_size=1), 1)
    return model


ROWS = [
    {"epoch": number, "test_accuracy": accuracy}
    for number, accuracy in enumerate([0.5, 0.7, 0.7, 0.6], start=1)
]


CLASSES = np.array([1, 0], np.uint16)


@pytest.mark.parametrize(("rule", "epoch"), [("final", 4), ("best_test", 2)])
def test_the_weights_of_the_first_best_epoch_are_kept(rule, epoch):
    kept = recorder.KeptWeights(RULES[rule].maximises)
    for row in ROWS:
        kept.consider(row, model_with(row["epoch"]), CLASSES)
    assert kept.epoch == epoch
    # The model itself has those of the final epoch.
    values = [weights.ravel()[0] for weights in kept.weights[:1]]
    assert values == ([] if rule == "final" else [epoch])


def test_time_adds_up_over_processes_and_memory_does_not():
    now = recorder.Spent(100.0, 1e9).since(time.perf_counter() - 5)
    assert now.seconds == pytest.approx(105, abs=1)
    assert now.peak_memory_mib == 1e9
    assert recorder.Spent().since(time.perf_counter()).peak_memory_mib > 0


def test_a_state_survives_a_checkpoint_and_counts_the_resumption():
    rule = RULES["best_test"]
    before = recorder.RunState(
        recorder.KeptWeights(rule.maximises), classes=CLASSES + 1, resumed_epochs=[1]
    )
    model = model_with(3.0)
    for row in ROWS:
        before.rows.append(row)
        before.kept.consider(row, model, CLASSES)
    spent = recorder.Spent(5.0, 7.0)
    stored = before.to_checkpoint(model, spent, {"identity": {"a": 1}})
    assert stored.epoch == 4
    assert stored.meta == {
        "identity": {"a": 1},
        "rows": ROWS,
        "kept": {"epoch": 2, "best": 0.7},
        "spent": {"seconds": 5.0, "peak_memory_mib": 7.0},
        "resumed_epochs": [1],
    }
    assert json.loads(json.dumps(stored.meta)) == stored.meta
    kinds = {name.partition("/")[0] for name in stored.tensors}
    assert kinds == {"model", "optimizer", "kept", "last_classes", "kept_classes"}
    after = recorder.RunState.from_checkpoint(stored, rule)
    assert (after.rows, after.spent, after.resumed_epochs) == (ROWS, spent, [1, 4])
    assert (after.kept.epoch, after.kept.best) == (2, 0.7)
    assert [w.tolist() for w in after.kept.weights] == [[[3.0]], [0.0]]
    assert (after.classes.tolist(), after.kept.classes.tolist()) == ([2, 1], [1, 0])
    other = model_with(9.0)
    after.training.restore(other)
    assert [w.tolist() for w in other.get_weights()] == [[[3.0]], [0.0]]
