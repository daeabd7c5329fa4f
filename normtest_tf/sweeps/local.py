"""Runs in worker processes of this machine: one for each GPU, or one alone."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence

from normtest_tf import errors
from normtest_tf.runs import RunConfig
from normtest_tf.sweeps import executor
from normtest_tf.sweeps.executor import RUNS_PER_WORKER, Executor, Options, Outcome
from normtest_tf.system import workers
from normtest_tf.text import Notify, counted

GPUS = "CUDA_VISIBLE_DEVICES"


class LocalExecutor(Executor):
    """Executes a few runs in each worker process, one process for each environment."""

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

    def wait(self, seconds: float) -> list[tuple[RunConfig, Outcome]]:
        """Waits for results of the processes."""
        return [self._take(worker) for worker in workers.wait(self._busy, seconds)]

    def _take(self, worker: workers.Worker) -> tuple[RunConfig, Outcome]:
        config = self._busy.pop(worker)
        self._idle.append(worker)
        try:
            return config, worker.result()
        except errors.UsageError as error:
            return config, error


def create(options: Options) -> LocalExecutor:
    """Returns an executor with a slot for each GPU, or with one."""
    foreign = {
        "--cpus_per_run": options.cpus_per_run,
        "--ray_address": options.address,
    }
    for flag, value in foreign.items():
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
    """Returns values for CUDA_VISIBLE_DEVICES, one for each GPU or MIG device.

    Those of that variable if it is set, otherwise all that `nvidia-smi` lists.
    """
    chosen = os.environ.get(GPUS)
    if chosen is None:
        return _listed_gpus()
    names = [name.strip() for name in chosen.split(",")]
    # CUDA ignores everything from the first name on that stands for no GPU.
    end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
    return names[:end]


def _listed_gpus() -> list[str]:
    """Returns what `nvidia-smi -L` lists; nothing where there is no such program."""
    try:
        text = subprocess.check_output(
            ["nvidia-smi", "-L"], stderr=subprocess.DEVNULL, text=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return []
    found: list[str] = []
    for gpu in re.split(r"^(?=GPU \d+:)", text, flags=re.MULTILINE)[1:]:
        # CUDA can use the MIG devices of a divided GPU, and not the whole.
        devices = re.findall(r"^\s+MIG .*\(UUID: (MIG-[^)]+)\)", gpu, re.MULTILINE)
        found += devices or re.findall(r"^GPU (\d+):", gpu)
    return found
