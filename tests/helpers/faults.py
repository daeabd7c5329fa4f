"""Named points of a run at which a fault strikes: by default, the run is killed.

Each function returns a context manager. The fault strikes when a run reaches the point
inside the `with` block:

    with faults.while_writing_checkpoint(3), pytest.raises(faults.Killed):
        finetuning.run(config)

The argument `then` says what happens: `kill` raises `Killed`, which nothing catches;
`fail(error)` raises an error; `send(signal)` sends this process a signal and continues.
"""

import contextlib
import os
import pathlib
import subprocess

import keras
import pytest
import tensorflow as tf

from normtest_tf.runs import record, recorder
from normtest_tf.runs.folder import RunFolder
from normtest_tf.training import loop


class Killed(BaseException):
    """Ends a run as abruptly as an exception can."""


def kill():
    raise Killed


def fail(error):
    def then():
        raise error

    return then


def send(number):
    return lambda: os.kill(os.getpid(), number)


def after_emptying_folder(then=kill):
    """After the run's folder has been emptied, before `config.json` is in it."""
    return _after(RunFolder, "start_afresh", then)


def before_writing_config(then=kill):
    """Before `config.json` is written."""
    return _before(record.ConfigRecord, "write", then)


@contextlib.contextmanager
def after_step(epoch, step, then=kill):
    """After a training step; epochs and steps are counted from 1."""
    reached = []

    def is_this_step(guard, batch, logs=None):
        return reached[-1] == epoch and batch == step - 1

    with (
        _watching(loop.LossGuard, "on_epoch_begin", lambda e: reached.append(e + 1)),
        _after(loop.LossGuard, "on_train_batch_end", then, is_this_step),
    ):
        yield


def before_writing_history(epoch, then=kill):
    """After an epoch, before its row is in `history.csv`."""
    return _before(RunFolder, "write_history", then, _has_last_row(epoch))


def after_writing_history(epoch, then=kill):
    """When an epoch's row is in `history.csv`, but in no checkpoint yet."""
    return _after(RunFolder, "write_history", then, _has_last_row(epoch))


def while_writing_tensorboard(epoch, then):
    """While an epoch's row is written for TensorBoard."""

    def is_last_scalar(name, value):
        step = int(tf.summary.experimental.get_step())
        return (name, step) == ("test/loss", epoch)

    return _before(tf.summary, "scalar", then, is_last_scalar)


def before_writing_checkpoint(epoch, then=kill):
    """When an epoch is complete, before anything of its checkpoint is on disk."""
    return _before(recorder.Store, "write", then, _is_checkpoint(epoch))


@contextlib.contextmanager
def while_writing_checkpoint(epoch, then=kill):
    """When half of an epoch's checkpoint is on disk."""
    write_bytes = pathlib.Path.write_bytes

    def write_half(path, data):
        if path.name == recorder.file_name(epoch):
            write_bytes(path, data[: len(data) // 2])
            then()
        return write_bytes(path, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pathlib.Path, "write_bytes", write_half)
        yield


def before_renaming_checkpoint(epoch, then=kill):
    """When an epoch's checkpoint is on disk, but does not have its name yet."""
    name = recorder.file_name(epoch)
    return _before(os, "replace", then, lambda _, path: path.name == name)


def after_epoch(epoch, then=kill):
    """After an epoch has been recorded completely."""
    return _after(recorder.Recorder, "add", then, lambda _, row: row["epoch"] == epoch)


def before_saving_model(then=kill):
    """After the last epoch, before `model.keras` is written."""
    return _before(keras.Model, "save", then)


def after_saving_model(then=kill):
    """When the model is on disk, but does not have its name yet."""
    return _after(keras.Model, "save", then)


def before_writing_result(then=kill):
    """When `model.keras` is complete, and only `result.json` is missing."""
    return _before(record.ResultRecord, "write", then)


def before_removing_checkpoints(then=kill):
    """When the run has its `result.json`, but still has its checkpoints."""
    return _before(recorder.Store, "remove", then)


@contextlib.contextmanager
def small_disk(folder, size):
    """Mounts a disk of some bytes in memory; None where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    try:
        mounted = not subprocess.run(mount, capture_output=True, check=False).returncode
    except OSError:  # There is no such command.
        mounted = False
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _is_checkpoint(epoch):
    return lambda store, checkpoint: checkpoint.epoch == epoch


def _has_last_row(epoch):
    return lambda path, rows: rows[-1]["epoch"] == epoch


def _always(*_, **__):
    return True


def _before(owner, name, then, hits=_always):
    """Calls `then` before each call of a function that `hits` is true of."""
    return _replaced(owner, name, then, hits, after=False)


def _after(owner, name, then, hits=_always):
    return _replaced(owner, name, then, hits, after=True)


def _watching(owner, name, report):
    """Calls `report` with the first argument of each call of a method."""

    def never(self, first, *_, **__):
        report(first)
        return False

    return _replaced(owner, name, kill, never, after=False)


@contextlib.contextmanager
def _replaced(owner, name, then, hits, *, after):
    real = getattr(owner, name)

    def wrapped(*args, **options):
        hit = hits(*args, **options)
        if hit and not after:
            then()
        result = real(*args, **options)
        if hit and after:
            then()
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, wrapped)
        yield
