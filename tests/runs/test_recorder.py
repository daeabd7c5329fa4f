"""Killed and stopped runs resume, and end like uninterrupted ones.

Most tests train a tiny network in this process, where a kill is an exception that
nothing catches; the last one kills and stops real processes.
"""

import dataclasses
import shutil
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
    with fault, pytest.raises(faults.Killed):
        finetuning.run(config, digits)


@pytest.mark.parametrize(
    ("fault", "moment", "resumed"),
    [
        (faults.after_emptying_folder, [], []),
        (faults.after_step, [1, 2], []),
        (faults.after_writing_history, [1], []),
        (faults.before_writing_history, [2], [1]),
        (faults.while_writing_checkpoint, [3], [2]),
        (faults.before_renaming_checkpoint, [3], [2]),
        (faults.after_epoch, [3], [3]),
        (faults.after_step, [4, 2], [3]),
        (faults.after_epoch, [EPOCHS], [EPOCHS]),
        (faults.after_saving_model, [], [EPOCHS]),
        (faults.before_writing_result, [], [EPOCHS]),
    ],
)
def test_a_killed_run_ends_like_an_uninterrupted_one(
    fault, moment, resumed, config, digits, expected
):
    kill(config, digits, fault(*moment))
    assert not config.folder.is_finished()
    result = finetuning.run(config, digits)
    assert result.resumed_epochs == tuple(resumed)
    assert outcome(config) == expected
    assert "checkpoints" not in names(config)


def test_a_run_killed_right_after_its_result_is_finished(config, digits, expected):
    kill(config, digits, faults.before_removing_checkpoints())
    assert "checkpoints" in names(config)
    finetuning.run(config, digits)
    assert "checkpoints" not in names(config)
    assert outcome(config) == expected


def test_times_add_up_and_tensorboard_shows_each_epoch_once(config, digits):
    for epoch in (2, 3):
        kill(config, digits, faults.before_writing_history(epoch))
    result = finetuning.run(config, digits)
    assert result.resumed_epochs == (1, 2)
    rows = history.read(config.folder.history)
    total = sum(row["seconds"] for row in rows)
    assert result.train_seconds == pytest.approx(total, abs=0.01)
    assert result.total_seconds > result.train_seconds
    (events,) = config.folder.tensorboard.iterdir()
    steps = [
        event.step
        for event in summary_iterator(str(events))
        for value in event.summary.value
        if value.tag == "test/loss"
    ]
    assert steps == list(range(1, EPOCHS + 1))


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_corrupt_checkpoints_are_reported_and_skipped(config, digits, expected):
    kill(config, digits, faults.after_epoch(3))
    copy = dataclasses.replace(config, results_dir=f"{config.results_dir}/copy")
    shutil.copytree(config.folder.path, copy.folder.path)

    notes = []
    flip_a_bit(config.folder.checkpoints / "epoch-00003.ckpt")
    result = finetuning.run(config, digits, notify=notes.append)
    assert result.resumed_epochs == (2,)
    assert any("epoch-00003.ckpt: its content is corrupt" in note for note in notes)
    assert outcome(config) == expected

    notes = []
    for path in copy.folder.checkpoints.iterdir():
        flip_a_bit(path)
    assert finetuning.run(copy, digits, notify=notes.append).resumed_epochs == ()
    assert len([note for note in notes if "corrupt" in note]) == 2
    assert any("no checkpoint can be read" in note for note in notes)
    assert outcome(copy) == expected


def test_another_run_is_never_resumed_from(config, digits, monkeypatch):
    kill(config, digits, faults.after_epoch(2))
    with pytest.raises(errors.UsageError, match=r"an unfinished run .*batch_size=32 "):
        finetuning.run(dataclasses.replace(config, batch_size=16), digits)
    images = digits.train_images.copy()
    images[0, 0, 0, 0] ^= 1
    changed = dataclasses.replace(digits, train_images=images)
    with pytest.raises(
        errors.UsageError, match="an unfinished run with another data set"
    ):
        finetuning.run(config, changed)
    # Without config.json, the checkpoint itself still identifies the run.
    config.folder.config.unlink()
    with pytest.raises(errors.UsageError, match="requested batch_size=32 there, "):
        finetuning.run(dataclasses.replace(config, batch_size=16), digits)

    def other_weights(*args, seed, **options):
        return tiny_runs.tiny_classifier(*args, seed=seed + 1, **options)

    monkeypatch.setattr(classifier, "build_classifier", other_weights)
    with pytest.raises(errors.UsageError, match="initial_weights="):
        finetuning.run(config, digits)


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
    kill(overwriting, digits, faults.after_epoch(2))
    assert not config.folder.is_finished()
    assert finetuning.run(config, digits).resumed_epochs == (2,)
    assert outcome(config) == expected


@pytest.mark.parametrize(("every", "kept"), [(1, [1, 2]), (3, [2])])
def test_ctrl_c_in_a_notebook_leaves_a_checkpoint_of_the_last_epoch(
    every, kept, config, digits, expected
):
    config = dataclasses.replace(config, checkpoint_every=every)
    with (
        faults.after_epoch(2, then=faults.fail(KeyboardInterrupt)),
        pytest.raises(KeyboardInterrupt),
    ):
        finetuning.run(config, digits)
    stored = sorted(path.name for path in config.folder.checkpoints.iterdir())
    assert stored == [checkpoints.file_name(epoch) for epoch in kept]
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
    "--dataset=digits",
    "--model=cifar_resnet8",
    "--train_examples=70",
    "--test_examples=20",
    "--batch_size=32",
    f"--epochs={EPOCHS}",
)


STOPPED = "stopped by {}; completed work is kept, and the same command resumes it\n"


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
