"""Faults of whole processes: kills at random moments, and full disks.

A run survives a fault if, started again, it ends like an uninterrupted one: with the
same history, weights and chosen epochs, bit by bit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from experiments.support import program
from normtest_tf import errors, runs
from normtest_tf.runs import history
from normtest_tf.sweeps import grid
from normtest_tf.system import keras_setup

ROOT = pathlib.Path(__file__).parent.parent.parent
DISK_BYTES = 16 * 2**20
RUN_BYTES = 8 * 2**20  # A little less than a run of cifar_resnet8 needs.
CLOCKS = ("seconds", "images_per_second")


@dataclasses.dataclass
class Count:
    """How many times a fault was tried, and how many times nothing was lost.

    Attributes:
        fault: What was done.
        tried: How many times.
        survived: How many times nothing was lost.
        notes: What happened to the others.
    """

    fault: str
    tried: int = 0
    survived: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)


def configurations(folder: pathlib.Path) -> list[runs.RunConfig]:
    """Returns the runs of the sweep; the first is also killed on its own."""
    base = runs.RunConfig(
        epochs=8,
        train_examples=256,
        test_examples=100,
        batch_size=64,
        keep="best_test",
        results_dir=str(folder),
    )
    axes = grid.Axes(
        datasets=["digits"],
        models=["cifar_resnet8"],
        normalizations=["pretrain", "finetune"],
        seeds=[1, 2],
    )
    return grid.grid(base, axes, weights={"cifar_resnet8": None})


def outcome(config: runs.RunConfig) -> tuple[object, ...]:
    """Returns what must not depend on faults.

    History, weights, chosen epochs and the test images' predicted classes.
    """
    import keras

    rows = [
        {name: value for name, value in row.items() if name not in CLOCKS}
        for row in history.read(config.folder.history)
    ]
    model = keras.models.load_model(config.folder.model)
    result = dataclasses.asdict(runs.ResultRecord.read(config.folder))
    chosen = {k: v for k, v in result.items() if k.endswith(("epoch", "accuracy"))}
    weights = [values.tobytes() for values in model.get_weights()]
    return rows, weights, chosen, config.folder.predictions.read_bytes()


def _equal(found: Sequence[runs.RunConfig], expected: Sequence[runs.RunConfig]) -> bool:
    """Tells whether all runs are finished with the expected outcome."""
    return all(
        one.folder.is_finished() and outcome(one) == outcome(other)
        for one, other in zip(found, expected, strict=True)
    )


class ForkedRun:
    """A run in a new process that has already imported TensorFlow; like a `Popen`.

    Args:
        config: The run.
    """

    def __init__(self, config: runs.RunConfig) -> None:
        # A process with one thread can be forked safely.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["normtest_tf.runs.finetuning"])
        self._process = context.Process(target=_run, args=(config,))
        self._process.start()

    def wait(self, timeout: float | None = None) -> int | None:
        """Waits at most `timeout` seconds for its end; returns the exit status."""
        self._process.join(timeout)
        return self._process.exitcode

    def poll(self) -> int | None:
        """Returns the exit status, or None while it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        """Kills it."""
        self._process.kill()


def _run(config: runs.RunConfig) -> None:
    """Runs silently; the exit status is that of a program."""
    from normtest_tf.runs import finetuning

    with (
        open(os.devnull, "w") as null,
        contextlib.redirect_stdout(null),
        keras_setup.silent_stderr(),
    ):
        try:
            finetuning.run(config)
        except errors.UsageError:
            sys.exit(program.USAGE_STATUS)


def start_sweep(folder: pathlib.Path) -> subprocess.Popen:
    """Starts the sweep of `configurations` as a user would."""
    first = configurations(folder)[0]
    names = ("epochs", "train_examples", "test_examples", "batch_size", "keep")
    return subprocess.Popen(
        [
            sys.executable,
            *("-m", "experiments.sweep", "--seeds=1,2"),
            *(f"--datasets={first.dataset}", f"--models={first.model}"),
            *(f"--{name}={getattr(first, name)}" for name in names),
            f"--results_dir={folder}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )


def _kill_until_done(
    start: Callable[[], subprocess.Popen | ForkedRun],
    moments: Iterator[float],
    most: int,
) -> int:
    """Restarts a process until it finishes on its own.

    Args:
        start: Starts the process.
        moments: When to kill it, in seconds from its start.
        most: The maximum number of kills.

    Returns:
        How many kills landed.
    """
    for landed in range(most):
        process = start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=next(moments))
        if process.poll() is not None:
            return landed
        process.kill()
        process.wait()
    start().wait()
    return most


@dataclasses.dataclass(frozen=True)
class _Target:
    """A run or a sweep to kill.

    Attributes:
        start: Starts it, with a folder for its results.
        configs: Returns its runs in such a folder.
        earliest: The earliest moment to kill it, as a fraction of its duration.
    """

    start: Callable[[pathlib.Path], subprocess.Popen | ForkedRun]
    configs: Callable[[pathlib.Path], list[runs.RunConfig]]
    earliest: float


def killed_runs(folder: pathlib.Path, kills: int, generator: random.Random) -> Count:
    """Kills runs at random moments.

    Args:
        folder: Where to write their results.
        kills: How many kills must land.
        generator: Determines the moments.
    """
    target = _Target(
        start=lambda results: ForkedRun(configurations(results)[0]),
        configs=lambda results: configurations(results)[:1],
        earliest=0.05,
    )
    if kills:  # The first process waits for the import of TensorFlow.
        target.start(folder / "first").wait()
    return _killed("run killed (SIGKILL)", target, folder, kills, generator)


def killed_sweeps(folder: pathlib.Path, kills: int, generator: random.Random) -> Count:
    """Kills sweeps at random moments.

    Args:
        folder: Where to write their results.
        kills: How many kills must land.
        generator: Determines the moments.
    """
    target = _Target(start_sweep, configurations, earliest=0.2)
    return _killed("sweep killed (SIGKILL)", target, folder, kills, generator)


def _killed(
    fault: str,
    target: _Target,
    folder: pathlib.Path,
    kills: int,
    generator: random.Random,
) -> Count:
    """Kills a target until enough kills have landed, and compares the outcomes."""
    count = Count(fault)
    if not kills:
        return count
    whole = folder / "whole"
    started = time.perf_counter()
    target.start(whole).wait()
    seconds = time.perf_counter() - started
    moments = iter(lambda: generator.uniform(target.earliest, 1.0) * seconds, None)
    for number in range(10 * kills):  # Some may end before their first kill.
        killed = folder / str(number)
        landed = _kill_until_done(
            lambda results=killed: target.start(results), moments, kills - count.tried
        )
        count.tried += landed
        if _equal(target.configs(killed), target.configs(whole)):
            count.survived += landed
        if count.tried == kills:
            break
    return count


def full_disks(folder: pathlib.Path, number: int, generator: random.Random) -> Count:
    """Lets runs fill a disk; they must stop cleanly and resume once there is space.

    Args:
        folder: Where to mount the disk.
        number: How many times.
        generator: Determines how much space there is.

    Returns:
        The count; nothing is tried where no disk can be mounted.
    """
    count = Count("disk full")
    if not number:
        return count
    with small_disk(folder / "disk", DISK_BYTES) as disk:
        if disk is None:
            count.notes.append("no tmpfs can be mounted here; that requires root")
            return count
        whole = configurations(folder / "whole")[0]
        ForkedRun(whole).wait()
        config = configurations(disk)[0]
        for _ in range(number):
            stopped = _fill_disk(disk, config, generator.randrange(RUN_BYTES))
            ForkedRun(config).wait()
            count.tried += stopped
            count.survived += stopped and _equal([config], [whole])
            shutil.rmtree(config.folder.path)
    return count


def _fill_disk(disk: pathlib.Path, config: runs.RunConfig, free_bytes: int) -> bool:
    """Starts a run with little free space; tells whether it stopped cleanly."""
    filler = disk / "filler"
    filler.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - free_bytes)))
    status = ForkedRun(config).wait()
    filler.unlink()
    return status == program.USAGE_STATUS


@contextlib.contextmanager
def small_disk(folder: pathlib.Path, size: int) -> Iterator[pathlib.Path | None]:
    """Mounts a small disk in memory while its `with` block runs.

    Args:
        folder: Where to mount it; it is created.
        size: In bytes.

    Yields:
        The folder, or None where no tmpfs can be mounted; that requires root.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
        mounted = not done.returncode
    except OSError:  # There is no such command.
        mounted = False
    if not mounted:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
