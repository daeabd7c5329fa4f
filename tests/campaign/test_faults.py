"""The campaign: kills at random moments, full disks and corrupt files lose nothing.

A run survives a fault if, started again, it ends like an uninterrupted one: with the
same history, weights, chosen epochs and predictions, bit by bit.
"""

import contextlib
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import time

import pytest

from normtest_tf import errors, runs
from normtest_tf.sweeps import grid
from normtest_tf.system import keras_setup
from tests.helpers import ROOT, faults, programs
from tests.helpers.tiny_runs import outcome

pytestmark = pytest.mark.campaign

DISK_BYTES = 16 * 2**20
RUN_BYTES = 8 * 2**20  # A little less than a run of cifar_resnet8 needs.


def configurations(folder):
    """Returns the runs of the sweep; the first is also killed on its own."""
    base = runs.RunConfig(
        epochs=8,
        train_examples=256,
        test_examples=100,
        batch_size=64,
        keep="best_test",
        checkpoint_every=1,
        results_dir=str(folder),
    )
    axes = grid.Axes(["digits"], ["cifar_resnet8"], ["pretrain", "finetune"], [1])
    return grid.grid(base, axes, weights={"cifar_resnet8": None})


class ForkedRun:
    """A run in a new process that has already imported TensorFlow; like a `Popen`."""

    def __init__(self, folder):
        # A process with one thread can be forked safely.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["normtest_tf.runs.finetuning"])
        self._process = context.Process(target=run_silently, args=(folder,))
        self._process.start()

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("run", timeout)
        return self._process.exitcode

    def kill(self):
        self._process.kill()


def run_silently(folder):
    """Executes the first run; the exit status is 2 if it is refused."""
    from normtest_tf.runs import finetuning

    with (
        open(os.devnull, "w") as null,
        contextlib.redirect_stdout(null),
        keras_setup.silent_stderr(),
    ):
        try:
            finetuning.run(configurations(folder)[0])
        except errors.UsageError:
            sys.exit(2)


def start_program(folder, name, *flags, **env):
    """Starts a program with the flags of the first run, as a user would."""
    first = configurations(folder)[0]
    names = ["epochs", "train_examples", "test_examples", "batch_size", "keep"]
    names.append("checkpoint_every")
    return subprocess.Popen(
        [
            *(sys.executable, "-m", f"experiments.{name}", *flags),
            *(f"--{name}={getattr(first, name)}" for name in names),
            f"--results_dir={folder}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=programs.environment(env),
    )


def start_sweep(folder):
    flags = ["--datasets=digits", "--models=cifar_resnet8", "--seeds=1"]
    return start_program(folder, "sweep", *flags)


def start_on_jax(folder):
    flags = ["--dataset=digits", "--model=cifar_resnet8", "--normalization=pretrain"]
    return start_program(folder, "train", *flags, "--seed=1", KERAS_BACKEND="jax")


def kill_until_done(start, moments, most):
    """Restarts a process until it finishes on its own; returns how many kills landed.

    Args:
        start: Starts the process.
        moments: When to kill it, in seconds from its start.
        most: The maximum number of kills.
    """
    for landed in range(most):
        process = start()
        try:
            process.wait(timeout=next(moments))
            return landed
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert start().wait() == 0
    return most


@pytest.mark.parametrize(
    ("start", "members", "earliest", "kills"),
    [
        pytest.param(start_sweep, 2, 0.3, 4, id="sweep"),
        pytest.param(start_on_jax, 1, 0.3, 1, id="jax"),
        pytest.param(ForkedRun, 1, 0.05, 12, id="run"),
    ],
)
def test_killed_processes_end_like_uninterrupted_ones(
    start, members, earliest, kills, tmp_path
):
    if start is start_on_jax:
        pytest.importorskip("jax")
    if start is ForkedRun:  # The first process waits for the import of TensorFlow.
        start(tmp_path / "first").wait()
    started = time.perf_counter()
    assert start(tmp_path / "whole").wait() == 0
    seconds = time.perf_counter() - started
    expected = [outcome(one) for one in configurations(tmp_path / "whole")[:members]]
    generator = random.Random(223)
    moments = iter(lambda: generator.uniform(earliest, 1.0) * seconds, None)
    landed = 0
    while landed < kills:  # A run may end before its first kill.
        folder = tmp_path / f"after-{landed}-{next(moments)}"
        landed += kill_until_done(
            lambda folder=folder: start(folder), moments, kills - landed
        )
        assert [outcome(one) for one in configurations(folder)[:members]] == expected


def test_runs_that_fill_a_disk_resume_once_there_is_space(tmp_path):
    generator = random.Random(223)
    (whole,) = configurations(tmp_path / "whole")[:1]
    assert ForkedRun(tmp_path / "whole").wait() == 0
    with faults.small_disk(tmp_path / "disk", DISK_BYTES) as disk:
        if disk is None:
            pytest.skip("no tmpfs can be mounted here; that requires root")
        config, filler = configurations(disk)[0], disk / "filler"
        for _ in range(3):
            free = shutil.disk_usage(disk).free - generator.randrange(RUN_BYTES)
            filler.write_bytes(bytes(max(0, free)))
            assert ForkedRun(disk).wait() == 2
            filler.unlink()
            assert ForkedRun(disk).wait() == 0
            assert outcome(config) == outcome(whole)
            shutil.rmtree(config.folder.path)
