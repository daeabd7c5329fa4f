"""Worker processes of this machine, and runs in them: one for each GPU, or one."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import re
import signal
import subprocess
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from normtest_tf import errors
from normtest_tf.runs import RunConfig
from normtest_tf.sweeps import executor
from normtest_tf.sweeps.executor import GRAPHS_PER_WORKER, Executor, Options, Outcome
from normtest_tf.text import Notify, counted

Result = TypeVar("Result")
GPUS = "CUDA_VISIBLE_DEVICES"


class Worker(contextlib.AbstractContextManager["Worker"]):
    """A separate process that runs one function call at a time.

    TensorFlow leaks the graph of every kind of training; only ending the process frees
    that memory. The process starts with the first call and never outlives this one.
    Ctrl-C does not reach it: leaving the `with` block ends it.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(environment or {})  # In addition to this one's.
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: multiprocessing.connection.Connection | None = None

    def __exit__(self, *_: object) -> None:
        """Ends the process."""
        self.end()

    def end(self) -> None:
        """Ends the process at once, whatever it is doing; the next call starts one."""
        if self._process is not None and self._connection is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
        self._process = self._connection = None

    def call(self, function: Callable[..., Result], *args: object) -> Result:
        """Calls a function in the process and returns its result; see `result`."""
        self.send(function, *args)
        return self.result()

    def send(self, function: Callable[..., object], *args: object) -> None:
        """Begins a call, of a function at the top level of a module; see `wait`."""
        if self._process is None or not self._process.is_alive():
            self._start()
        with contextlib.suppress(OSError):  # It has died: `result` says so.
            self._open_connection.send((function, args))

    def result(self) -> Any:  # noqa: ANN401  (the function's)
        """Waits for the call's result; `WorkerDied` if its process ends before."""
        try:
            succeeded, value = self._open_connection.recv()
        except (EOFError, OSError) as error:
            self.end()
            raise errors.WorkerDied from error
        if succeeded:
            return value
        raise value

    def _start(self) -> None:
        self.end()
        # Forking a process that runs TensorFlow's threads can deadlock.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._environment), name="normtest_tf worker"
        )
        with _ctrl_c_ignored():  # Inherited by the new process from the start.
            self._process.start()
        theirs.close()

    @property
    def _open_connection(self) -> multiprocessing.connection.Connection:
        assert self._connection is not None
        return self._connection


def wait(workers: Collection[Worker], seconds: float) -> list[Worker]:
    """Returns those whose call has ended, after waiting a while for the first."""
    by_connection: dict[Any, Worker] = {w._open_connection: w for w in workers}
    ready = multiprocessing.connection.wait([*by_connection], seconds)
    return [by_connection[connection] for connection in ready]


def _serve(
    connection: multiprocessing.connection.Connection, environment: Mapping[str, str]
) -> None:
    """Executes calls in the new process until the other end closes."""
    os.environ.update(environment)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    while True:
        function, args = connection.recv()
        try:
            answer = True, function(*args)
        except Exception as error:
            if not isinstance(error, errors.UsageError):
                error.add_note(traceback.format_exc())
            answer = False, error
        connection.send(answer)


def _exit_with_parent() -> None:
    """Waits for the parent to end, then exits at once."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # Only the worker's own process calls this.
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Ignores Ctrl-C in the main thread; elsewhere Python can't change handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


class LocalExecutor(Executor):
    """Executes runs in worker processes, one for each environment.

    If there is one for each GPU of the machine, and the backend can't see them, one is
    enough: several would share the CPU.
    """

    def __init__(
        self, environments: Sequence[Mapping[str, str]] = ({},), *, by_gpu: bool = False
    ) -> None:
        self._by_gpu = by_gpu
        # Progress bars of several processes would share a line.
        quiet = {"TQDM_DISABLE": "1"} if len(environments) > 1 else {}
        self._idle = [Worker({**each, **quiet}) for each in environments]
        self._busy: dict[Worker, RunConfig] = {}
        self._said: set[str] = set()  # Notes of runs.

    def __exit__(self, *_: object) -> None:
        """Ends the processes."""
        for worker in [*self._idle, *self._busy]:
            worker.end()

    def check_inputs(self, configs: Sequence[RunConfig], notify: Notify) -> None:
        """Checks the inputs in the first process, which has loaded the data then."""
        first, *others = self._idle
        first.call(executor.check_inputs, configs, notify)
        if others and self._by_gpu and first.call(executor.has_hidden_gpu):
            self._idle = [first]

    def slots(self) -> int:
        """Returns the number of processes."""
        return len(self._idle) + len(self._busy)

    def start(self, config: RunConfig, notify: Notify) -> None:
        """Starts a run in an idle process."""
        worker = self._idle.pop(0)
        worker.send(executor.execute, config, notify, self._said)
        self._busy[worker] = config

    def wait(self, seconds: float) -> list[tuple[RunConfig, Outcome]]:
        """Waits for results of the processes."""
        return [self._take(worker) for worker in wait(self._busy, seconds)]

    def _take(self, worker: Worker) -> tuple[RunConfig, Outcome]:
        config = self._busy.pop(worker)
        self._idle.append(worker)
        try:
            outcome = worker.result()
            graphs, said = worker.call(executor.leaked_graphs)
        except errors.UsageError as error:
            if not isinstance(error, errors.Locked):  # That one has not started.
                worker.end()  # A failed run leaves graphs and memory.
            return config, error
        self._said |= said
        if graphs >= GRAPHS_PER_WORKER:
            worker.end()
        return config, outcome


def create(options: Options) -> LocalExecutor:
    """Returns an executor with a slot for each GPU, or with one."""
    foreign = {"--cpus_per_run": options.cpus_per_run, "--ray_address": options.address}
    for flag, value in foreign.items():
        if value is not None:
            raise errors.UsageError(
                f"{flag} needs --executor=ray; on this machine, --runs_at_a_time and "
                "--gpus_per_run say how runs share it"
            )
    each, at_a_time = options.gpus_per_run, options.runs_at_a_time
    by_gpu = each is None and at_a_time is None
    return LocalExecutor(_environments(each, at_a_time), by_gpu=by_gpu)


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
