"""Runs as tasks of a Ray cluster, whose nodes share the results folder.

Ray chooses the nodes, and reports tasks whose worker or node died; the sweep restarts
their runs, which resume from their checkpoints wherever they are executed then.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import os
import platform
import re
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import normtest_tf
from normtest_tf import errors
from normtest_tf.runs import RunConfig
from normtest_tf.sweeps import executor, local
from normtest_tf.sweeps.executor import GRAPHS_PER_WORKER, Executor, Options, Outcome
from normtest_tf.system import files, keras_setup
from normtest_tf.text import Notify

CONNECT_SECONDS = 5.0
# Ray reads these when it is imported: no reports to its makers, no advice, and no pages
# of a node's log when it dies.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
# Variables of these libraries, which a run on another node needs as well.
_PREFIXES = ("KERAS_", "TF_", "XLA_", "JAX_", "NVIDIA_TF32")
_THREADS = "OMP_NUM_THREADS"  # Ray sets it to the CPUs of a task.


class RayExecutor(Executor):
    """Executes each run as a task of a Ray cluster."""

    def __init__(self, options: Options) -> None:
        self._ray = connect(options.address)
        self._most = options.runs_at_a_time or 2**31
        self._running: dict[Any, tuple[RunConfig, Notify]] = {}
        self._marker: Any = None
        cpus, gpus = options.cpus_per_run, options.gpus_per_run
        most_cpus, most_gpus = (
            max((node.get(name, 0) for node in self._nodes()), default=0)
            for name in ("CPU", "GPU")
        )
        cpus = 1 if cpus is None else cpus
        gpus = min(1, most_gpus) if gpus is None else gpus
        self._needs = {"CPU": cpus, "GPU": gpus}
        if not self._capacity():
            self._ray.shutdown()
            raise errors.UsageError(
                "no node of the Ray cluster has what a run needs: "
                f"--cpus_per_run={cpus:g}, --gpus_per_run={gpus:g}; the most that one "
                f"has is {most_cpus:g} and {most_gpus:g}"
            )
        self._task = self._ray.remote(
            num_cpus=cpus,
            num_gpus=gpus,
            # TensorFlow leaks graphs, and keeps the GPU that it has seen first.
            max_calls=1 if gpus else GRAPHS_PER_WORKER,
            max_retries=0,  # The sweep restarts runs, and drops --overwrite then.
        )(execute)

    def __exit__(self, *_: object) -> None:
        """Ends all runs and leaves the cluster."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()
        if self._marker is not None:
            self._marker.close()

    def check_inputs(self, configs: Sequence[RunConfig], notify: Notify) -> None:
        """Checks the inputs in a process of this machine."""
        with local.Worker() as worker:
            worker.call(executor.check_inputs, configs, notify)

    def slots(self) -> int:
        """Returns how many runs the living nodes have room for; at least 1."""
        # Without any, the next run waits in the cluster for a node to join.
        return max(1, min(self._capacity(), self._most))

    def _nodes(self) -> list[Mapping[str, float]]:
        """Returns the resources of the living nodes."""
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _capacity(self) -> int:
        """Returns how many runs fit on the nodes; one each if they need nothing."""
        wanted = {name: each for name, each in self._needs.items() if each}
        return sum(
            min(
                (int(node.get(name, 0) / each + 1e-9) for name, each in wanted.items()),
                default=1,
            )
            for node in self._nodes()
        )

    def start(self, config: RunConfig, notify: Notify) -> None:
        """Hands a run to the cluster."""
        if self._marker is None:
            folder = files.expand(config.results_dir).absolute()
            self._marker = tempfile.NamedTemporaryFile(prefix=".sweep-", dir=folder)  # noqa: SIM115  (closed at the end)
        # Ray would show a task without GPUs all of them.
        hidden = {} if self._needs["GPU"] else {local.GPUS: "-1"}
        passed = variables() | hidden
        here = Here(normtest_tf.__version__, os.getcwd(), self._marker.name, passed)
        self._running[self._task.remote(here, config)] = (config, notify)

    def wait(self, seconds: float) -> list[tuple[RunConfig, Outcome]]:
        """Waits for a task; its notes come with its outcome."""
        ready, _ = self._ray.wait([*self._running], timeout=seconds)
        return [self._take(reference) for reference in ready]

    def _take(self, reference: Any) -> tuple[RunConfig, Outcome]:  # noqa: ANN401  (untyped in Ray)
        config, notify = self._running.pop(reference)
        try:
            notes, outcome = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # As it can't import us.
            return config, errors.UsageError(f"on a Ray node: {_gist(error)}")
        except self._ray.exceptions.RayError:
            return config, errors.WorkerDied("its worker or the worker's node died")
        for note in notes:
            notify(note)
        return config, outcome


def variables() -> dict[str, str]:
    """Returns this process's variables that runs on other nodes need."""
    names = [name for name in os.environ if name.startswith((*_PREFIXES, _THREADS))]
    found = {name: os.environ[name] for name in names}
    # Nodes may have been started with another default.
    return found | {"KERAS_BACKEND": keras_setup.backend()}


@dataclasses.dataclass(frozen=True)
class Here:
    """What a node has to have in common with the sweep's process."""

    version: str
    working_folder: str  # Relative paths start there.
    marker: str  # A file in the results folder.
    variables: Mapping[str, str]


def execute(here: Here, config: RunConfig) -> tuple[list[str], Outcome]:
    """Executes a run on a node, and returns notes with how it ended."""
    os.environ.pop(_THREADS, None)
    os.environ.update(here.variables)
    if os.path.isdir(here.working_folder):
        os.chdir(here.working_folder)
    node = platform.node()
    notes = [f"on node {node}"]
    try:
        if normtest_tf.__version__ != here.version:
            raise errors.UsageError(
                f"the node {node} has normtest_tf {normtest_tf.__version__}, and the "
                f"sweep {here.version}; install the same version on all nodes"
            )
        if not os.path.exists(here.marker):
            raise errors.UsageError(
                f"the node {node} does not see the folder {config.results_dir}; all "
                "nodes have to share it, under the same path"
            )
        return notes, executor.execute(config, notes.append)
    except errors.UsageError as error:
        return notes, error


def connect(address: str | None) -> Any:  # noqa: ANN401  (a module without types)
    """Connects to a cluster, as `--ray_address` says, and returns the module `ray`."""
    if importlib.util.find_spec("ray") is None:
        raise errors.UsageError(
            "--executor=ray needs ray, which is not installed: pip install "
            "'normtest_tf[ray]'"
        )
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _check_reachable(address or os.environ.get("RAY_ADDRESS"))
        with keras_setup.silent_stderr():
            import ray

            ray.init(
                address=address or None,
                include_dashboard=False,
                logging_level=logging.CRITICAL,
                log_to_driver=False,
            )
    except Exception as error:  # Of many types.
        raise errors.UsageError(
            f"can't connect to a Ray cluster at {address or 'auto'}: {_gist(error)}; "
            "check --ray_address, or start one with: ray start --head"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, handler)  # Ray replaces it.
    return ray


def _check_reachable(address: str | None) -> None:
    """Raises unless something listens at an address: Ray would try for a minute."""
    if address and address not in ("auto", "local"):
        host, _, port = address.rpartition(":")
        place = host.strip("[]"), int(port)
        socket.create_connection(place, CONNECT_SECONDS).close()


def _gist(error: BaseException) -> str:
    """Returns the last line of an error's message that names an error, cut short."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return " ".join([*lines[:1], *named][-1].split())[:300] if lines else repr(error)
