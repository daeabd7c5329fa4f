"""Killed and stopped runs resume, and end like uninterrupted ones.

Most tests train a tiny network in this process, where a kill is an exception that
nothing catches; the last one, of the campaign, kills and stops real processes.
"""

import dataclasses
import signal

import pytest
from tensorflow.python.summary.summary_iterator import summary_iterator

from normtest_tf import errors
from normtest_tf.runs import checkpoints, finetuning, history
from normtest_tf.system import files
from normtest_tf.training import classifier
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
    total = sum(row["seconds"] for row in history.read(config.folder.history))
    assert result.train_seconds == pytest.approx(total, abs=0.01)
    assert result.total_seconds > result.train_seconds
    (events,) = config.folder.tensorboard.iterdir()
    tags = [
        (event.step, value.tag)
        for event in summary_iterator(str(events))
        for value in event.summary.value
    ]
    assert [step for step, tag in tags if tag == "test/loss"] == [1, 2, 3, 4]


def flip_a_bit(config, epoch):
    path = config.folder.checkpoints / checkpoints.file_name(epoch)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_corrupt_checkpoints_are_reported_and_skipped(config, digits, expected):
    kill(config, digits, faults.after_epoch(1))
    flip_a_bit(config, 1)
    corrupt, whole = kill(config, digits, faults.after_epoch(3))
    assert "epoch-00001.ckpt: its content is corrupt" in corrupt
    assert whole == "no checkpoint can be read: the run starts from the beginning"
    flip_a_bit(config, 3)
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


def test_a_run_that_0_2_0_left_unfinished_is_resumed(config, digits, expected):
    kill(config, digits, faults.after_epoch(2))
    path = config.folder.checkpoints / "epoch-00002.ckpt"
    checkpoint = checkpoints.decode(path.read_bytes())
    for name in ("last_classes", "kept_classes"):  # Which that version did not record.
        del checkpoint.tensors[name]
    path.write_bytes(checkpoints.encode(checkpoint))
    result = finetuning.run(config, digits)
    assert result.resumed_epochs == (2,)
    is_known = result.kept_epoch > 2
    assert config.folder.predictions.exists() == is_known
    if is_known:
        assert outcome(config) == expected


def test_a_killed_overwrite_resumes_without_overwrite(config, digits, expected):
    finetuning.run(dataclasses.replace(config, epochs=1), digits)
    overwriting = dataclasses.replace(config, overwrite=True)
    assert kill(overwriting, digits, faults.after_epoch(2)) == []
    assert not config.folder.is_finished()
    assert finetuning.run(config, digits).resumed_epochs == (2,)
    assert outcome(config) == expected
    assert len(list(config.folder.tensorboard.iterdir())) == 1


def test_ctrl_c_in_a_notebook_leaves_a_checkpoint_of_the_last_epoch(
    config, digits, expected
):
    config = dataclasses.replace(config, checkpoint_every=3)
    with (
        faults.after_epoch(2, then=faults.fail(KeyboardInterrupt)),
        pytest.raises(KeyboardInterrupt),
    ):
        finetuning.run(config, digits)
    (stored,) = config.folder.checkpoints.iterdir()
    assert stored.name == checkpoints.file_name(2)
    assert finetuning.run(config, digits).resumed_epochs == (2,)
    assert outcome(config) == expected


@pytest.fixture
def ctrl_c():
    """Makes Ctrl-C work even if pytest runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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
)
STOPPED = "stopped by {}; completed work is kept, and the same command resumes it\n"


@pytest.mark.campaign
def test_stopped_processes_end_like_an_uninterrupted_one(tmp_path, digits, ctrl_c):
    config = new_config(tmp_path / "killed", keep="final", learning_rate=1e-3)
    config = dataclasses.replace(config, train_examples=70, test_examples=20)
    flags = [*FLAGS, f"--results_dir={config.results_dir}"]
    done = programs.run_python("-c", STOPPED_WHILE_WRITING, *flags)
    assert done.returncode == 143
    assert done.stderr.endswith(STOPPED.format("SIGTERM"))  # After TensorFlow's log.
    assert len(list(config.folder.path.rglob(f"{files.TEMPORARY}*"))) == 1

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
