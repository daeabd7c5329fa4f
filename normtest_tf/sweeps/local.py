"""Runs in worker processes of this machine: one for each GPU, or one alone."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import re
import subprocess
from collections.abc import Mapping, Sequence

from normtest_tf import errors
from normtest_tf.runs import ResultRecord, RunConfig
from normtest_tf.sweeps import executor
from normtest_tf.sweeps.executor import (
    RUNS_PER_WORKER,
    Ended,
    Executor,
    Options,
    Outcome,
)
from normtest_tf.system import workers
from normtest_tf.text import Notify, counted

GPUS = "CUDA_VISIBLE_DEVICES"
_TIMEOUT_SECONDS = 20


@dataclasses.dataclass
class _Slot:
    """A worker process, and the run that it executes."""

    worker: workers.Worker
    runs: int = 0
    config: RunConfig | None = None
    future: concurrent.futures.Future[ResultRecord] | None = None


class LocalExecutor(Executor):
    """Executes runs in worker processes of this machine.

    TensorFlow leaks the graph of every trained model, so a process executes a few
    runs only; a crash costs one run.

    Args:
        environments: The variables of each worker process.
    """

    def __init__(self, environments: Sequence[Mapping[str, str]] = ({},)) -> None:
        # Progress bars of several processes would share a line.
        quiet = {"TQDM_DISABLE": "1"} if len(environments) > 1 else {}
        self._slots = [
            _Slot(workers.Worker({**each, **quiet})) for each in environments
        ]

    def __exit__(self, *_: object) -> None:
        """Ends the processes."""
        for slot in self._slots:
            slot.worker.renew()

    def check_inputs(self, configs: Sequence[RunConfig], notify: Notify) -> None:
        """Checks the inputs in the first process, which has loaded the data then."""
        worker = self._slots[0].worker
        worker.call(executor.check_inputs, configs, notify)

    def slots(self) -> int:
        """Returns the number of processes."""
        return len(self._slots)

    def start(self, config: RunConfig, notify: Notify) -> None:
        """Begins a run in an idle process."""
        slot = next(slot for slot in self._slots if slot.future is None)
        if slot.runs and slot.runs % RUNS_PER_WORKER == 0:
            slot.worker.renew()
        slot.runs += 1
        slot.config = config
        slot.future = slot.worker.submit(executor.execute, config, notify)

    def wait(self, seconds: float) -> list[Ended]:
        """Waits for the first process that has ended its run."""
        running = [slot.future for slot in self._slots if slot.future is not None]
        first = concurrent.futures.FIRST_COMPLETED
        concurrent.futures.wait(running, seconds, return_when=first)
        return [
            ended for slot in self._slots if (ended := _take_ended(slot)) is not None
        ]

    def stop(self) -> None:
        """Sends SIGTERM to the busy processes."""
        for slot in self._slots:
            if slot.future is not None:
                slot.worker.terminate()

    def kill(self) -> None:
        """Ends all processes at once."""
        for slot in self._slots:
            slot.worker.kill()


def _take_ended(slot: _Slot) -> Ended | None:
    """Returns the run that a slot has ended, if so; the slot is idle then."""
    config, future = slot.config, slot.future
    if config is None or future is None or not future.done():
        return None
    slot.config = slot.future = None
    outcome: Outcome
    try:
        outcome = slot.worker.result(future)
    except (errors.UsageError, errors.Interrupted) as error:
        outcome = error
    return Ended(config, outcome)


def create(options: Options) -> LocalExecutor:
    """Returns an executor with a slot for each GPU, or with one.

    Args:
        options: See `Options`.

    Raises:
        UsageError: If there are not enough GPUs, or an option is not for this executor.
    """
    if options.cpus_per_run is not None:
        raise _only_for_clusters("--cpus_per_run")
    if options.address is not None:
        raise _only_for_clusters("--ray_address")
    if options.gather:
        raise _only_for_clusters("--gather")
    return LocalExecutor(_environments(options.gpus_per_run, options.runs_at_a_time))


def _only_for_clusters(flag: str) -> errors.UsageError:
    return errors.UsageError(
        f"{flag} needs --executor=ray; on this machine, --runs_at_a_time and "
        "--gpus_per_run say how runs share it"
    )


def _environments(
    gpus_per_run: float | None, runs_at_a_time: int | None
) -> list[dict[str, str]]:
    """Returns the variables of each worker process."""
    if gpus_per_run == 0:
        return [{GPUS: "-1"}] * (runs_at_a_time or 1)
    found = visible_gpus()
    if not found and gpus_per_run is None:
        return [{}] * (runs_at_a_time or 1)
    shares = _shares(found, 1 if gpus_per_run is None else gpus_per_run)
    if runs_at_a_time is None and len(found) == len(shares) == 1:
        return [{}]  # TensorFlow finds it without help.
    number = runs_at_a_time or len(shares)
    return [{GPUS: shares[i % len(shares)]} for i in range(number)]


def _shares(found: Sequence[str], each: float) -> list[str]:
    """Divides GPUs among runs.

    Args:
        found: The GPUs.
        each: GPUs of a run; a fraction if several share one.

    Returns:
        The GPUs of each run that can be executed at a time, with commas.
    """
    size = max(1, int(each))
    groups = [found[i : i + size] for i in range(0, len(found) - size + 1, size)]
    if not groups:
        raise errors.UsageError(
            f"--gpus_per_run={each:g} is more than this machine has: "
            f"{counted(len(found), 'GPU')}; 0 trains on its CPU"
        )
    # Runs that start together should not share a GPU while others are idle.
    return [",".join(group) for group in groups] * max(1, int(1 / each))


def visible_gpus() -> list[str]:
    """Returns the GPUs that processes of this one's may use.

    Returns:
        Values for CUDA_VISIBLE_DEVICES, one for each GPU or MIG device: those of that
        variable if it is set, otherwise all that `nvidia-smi` lists.
    """
    chosen = os.environ.get(GPUS)
    if chosen is None:
        return _listed(_nvidia_smi())
    names = [name.strip() for name in chosen.split(",")]
    # CUDA ignores everything from the first name on that stands for no GPU.
    end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
    return names[:end]


def _nvidia_smi() -> str:
    """Returns what `nvidia-smi -L` prints; nothing where there is no such program."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _listed(text: str) -> list[str]:
    """Returns the devices in the output of `nvidia-smi -L`.

    Where a GPU is divided, the lines below it are its MIG devices, and CUDA can't use
    the whole.
    """
    found: list[str] = []
    whole = False  # Whether the last of `found` is a GPU that may be divided.
    for line in text.splitlines():
        if gpu := re.match(r"GPU (\d+):", line):
            found.append(gpu[1])
            whole = True
        elif mig := re.match(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)", line):
            if whole:
                found.pop()
            found.append(mig[1])
            whole = False
    return found
