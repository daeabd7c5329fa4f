"""Runs whose folder, numbers or disk go wrong stop with one line and lose nothing."""

import dataclasses
import shutil
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

from normtest_tf import errors, runs, training
from normtest_tf.runs import checkpoints, finetuning
from normtest_tf.system import files, locks
from tests.helpers import ROOT
from tests.helpers.tiny_runs import EPOCHS, ending, names, new_config, outcome

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
        good = step < 2 * self.steps_per_epoch
        return keras.ops.where(good, real(self, step), float("inf"))

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
