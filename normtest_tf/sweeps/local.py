"""Runs in worker processes of this machine: one for each GPU, or one alone."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence

from normtest_tf import errors
from normtest_tf.runs import RunConfig
from normtest_tf.sweeps import executor
from normtest_tf.sweeps.executor import RUNS_PER_WORKER, Ended, Executor, Options
from normtest_tf.system import workers
from normtest_tf.text import Notify, counted

GPUS = "CUDA_VISIBLE_DEVICES"


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
        self._idle = [workers.Worker({**each, **quiet}) for each in environments]
        self._busy: dict[workers.Worker, RunConfig] = {}

    def __exit__(self, *_: object) -> None:
        """Ends the processes."""
        for worker in [*self._idle, *self._busy]:
            worker.end()

    def check_inputs(self, configs: Sequence[RunConfig], notify: Notify) -> None:
        """Checks the inputs in the first process, which has loaded the data then."""
        self._idle[0].call(executor.check_inputs, configs, notify)

    def slots(self) -> int:
        """Returns the number of processes."""
        return len(self._idle) + len(self._busy)

    def start(self, config: RunConfig, notify: Notify) -> None:
        """Starts a run in an idle process."""
        worker = self._idle.pop(0)
        if worker.calls > RUNS_PER_WORKER:
            worker.end()
        worker.send(executor.execute, config, notify)
        self._busy[worker] = config

    def wait(self, seconds: float) -> list[Ended]:
        """Returns what the processes whose runs have ended say."""
        return [self._take(worker) for worker in workers.wait(self._busy, seconds)]

    def _take(self, worker: workers.Worker) -> Ended:
        config = self._busy.pop(worker)
        self._idle.append(worker)
        try:
            return Ended(config, worker.result())
        except errors.UsageError as error:
            return Ended(config, error)


def create(options: Options) -> LocalExecutor:
    """Returns an executor with a slot for each GPU, or with one.

    Raises:
        UsageError: If there are not enough GPUs, or an option is not for this executor.
    """
    for flag, value in {
        "--cpus_per_run": options.cpus_per_run,
        "--ray_address": options.address,
    }.items():
        if value is not None:
            raise errors.UsageError(
                f"{flag} needs --executor=ray; on this machine, --runs_at_a_time and "
                "--gpus_per_run say how runs share it"
            )
    return LocalExecutor(_environments(options.gpus_per_run, options.runs_at_a_time))


def _environments(each: float | None, at_a_time: int | None) -> list[dict[str, str]]:
    """Returns the variables of each worker process, whose runs get `each` GPUs."""
    if each == 0:
        return [{GPUS: "-1"}] * (at_a_time or 1)
    found = visible_gpus()
    if not found and each is None:
        return [{}] * (at_a_time or 1)
    shares = _shares(found, each or 1)
    if at_a_time is None and len(found) == len(shares) == 1:
        return [{}]  # TensorFlow finds it without help.
    return [{GPUS: shares[i % len(shares)]} for i in range(at_a_time or len(shares))]


def _shares(found: Sequence[str], each: float) -> list[str]:
    """Returns the GPUs of each run that can be executed at a time, with commas."""
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
    """Returns the GPUs that this machine's processes may use, without TensorFlow.

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
        return subprocess.check_output(
            ["nvidia-smi", "-L"], stderr=subprocess.DEVNULL, text=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return ""


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
