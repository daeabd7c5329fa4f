"""Connecting to a Ray cluster, quietly, and what its nodes have room for."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import os
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from normtest_tf import errors
from normtest_tf.sweeps.executor import Options
from normtest_tf.system import keras_setup, signals

CONNECT_SECONDS = 8.0
# Ray reads these when it is imported: no reports to its makers, no advice, and no pages
# of a node's log when it dies, which is told in a line.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
_KEYWORDS = ("auto", "local")


def connect(address: str | None) -> Any:  # noqa: ANN401  (a module without types)
    """Connects this process to a cluster.

    Args:
        address: `HOST:PORT` of its head node, `auto` for that of this machine, or
            `local` for this machine alone. None for the environment variable
            RAY_ADDRESS or `auto`, and if there is neither, `local`.

    Returns:
        The module `ray`.

    Raises:
        UsageError: If Ray is not installed, or there is no such cluster.
    """
    if importlib.util.find_spec("ray") is None:
        raise errors.UsageError(
            "--executor=ray needs ray, which is not installed: pip install "
            "'normtest_tf[ray]'"
        )
    _check_reachable(address or os.environ.get("RAY_ADDRESS"))
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        with signals.kept(), keras_setup.silent_stderr():
            import ray

            ray.init(
                address=address or None,
                include_dashboard=False,
                logging_level=logging.CRITICAL,
                log_to_driver=False,
            )
    except Exception as error:  # Of many types.
        raise _no_cluster(address or "auto", gist(error)) from error
    return ray


def _check_reachable(address: str | None) -> None:
    """Raises unless something listens at an address: Ray would try for a minute."""
    if not address or address in _KEYWORDS:  # Ray takes an empty variable for none.
        return
    match = re.fullmatch(r"(\[[^]]+\]|[^:/]+):(\d{1,5})", address)
    if match is None:
        raise errors.UsageError(
            "--ray_address takes HOST:PORT of the cluster's head node, auto for the "
            "cluster of this machine, or local for this machine alone. Received: "
            f"{address}"
        )
    try:
        host, port = match[1].strip("[]"), int(match[2])
        with socket.create_connection((host, port), CONNECT_SECONDS) as connection:
            if not os.environ.get("RAY_USE_TLS") and not _speaks_http2(connection):
                raise _no_cluster(address, "something else than Ray listens there")
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, errors.reason(error)) from error


def _speaks_http2(connection: socket.socket) -> bool:
    """Tells whether a server greets as one of gRPC does, which Ray is.

    Args:
        connection: With a timeout.
    """
    settings = b"\0\0\0\4\0\0\0\0\0"  # An empty frame of them, as the server sends.
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)
    return connection.recv(9)[3:4] == settings[3:4]


def _no_cluster(address: str, reason: str) -> errors.UsageError:
    return errors.UsageError(
        f"can't connect to a Ray cluster at {address}: {reason}; check --ray_address, "
        "or start one with: ray start --head"
    )


def gist(error: BaseException) -> str:
    """Returns the last line of an error's message that names an error, cut short."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return " ".join([*lines[:1], *named][-1].split())[:300] if lines else repr(error)


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a run occupies on a node.

    Attributes:
        cpus: CPUs.
        gpus: GPUs; a fraction if several runs share one.
    """

    cpus: float
    gpus: float

    def fits(self, resources: Mapping[str, float]) -> int:
        """Returns how many runs a node has room for."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        numbers = [
            int(resources.get(name, 0) / each + 1e-9)
            for name, each in wanted.items()
            if each > 0
        ]
        return min(numbers, default=1)

    def capacity(self, nodes: Sequence[Mapping[str, Any]]) -> int:
        """Returns how many runs the living nodes have room for."""
        return sum(self.fits(node["Resources"]) for node in nodes if node["Alive"])


def needs(ray: Any, options: Options) -> Needs:  # noqa: ANN401  (a module)
    """Returns what a run occupies: by default a CPU, and a GPU where there are any.

    Args:
        ray: Connected.
        options: See `Options`.

    Raises:
        UsageError: If no node has that much.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    most = {
        name: max((node["Resources"].get(name, 0) for node in nodes), default=0)
        for name in ("CPU", "GPU")
    }
    cpus, gpus = options.cpus_per_run, options.gpus_per_run
    found = Needs(
        cpus=1.0 if cpus is None else cpus,
        gpus=float(most["GPU"] > 0) if gpus is None else gpus,
    )
    if found.capacity(nodes) == 0:
        raise errors.UsageError(
            "no node of the Ray cluster has what a run needs: "
            f"--cpus_per_run={found.cpus:g}, --gpus_per_run={found.gpus:g}; the most "
            f"that one has is {most['CPU']:g} and {most['GPU']:g}"
        )
    return found


def name_of(ray: Any, node_id: str) -> str:  # noqa: ANN401  (a module)
    """Returns a node's name for people: its host and, where it has one, its own."""
    for node in ray.nodes():
        if node["NodeID"] == node_id:
            host, name = node["NodeManagerHostname"], node["NodeName"]
            address = node["NodeManagerAddress"]
            return host if name in (host, address) else name
    return node_id[:8]
