"""Runs on the nodes of a Ray cluster, seen from the process that runs the sweep.

A slot is a Ray actor that holds the CPUs and GPUs of one run. Nodes that see the
results folder write to it; what others write is sent here, and written here. When a
node dies, so do its slots, and the sweep begins their runs again elsewhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import tempfile
import time
from typing import Any

from normtest_tf import errors
from normtest_tf.runs import ResultRecord, RunConfig
from normtest_tf.sweeps import gathering, ray_connection, ray_slot
from normtest_tf.sweeps.executor import Ended, Executor, Options, Outcome
from normtest_tf.system import files, signals
from normtest_tf.text import Notify

STOP_SECONDS = 120.0  # A step may take long, but a node may never answer.
CAPACITY_SECONDS = 5.0  # For how long the number of slots is taken as known.
UNREAD = 4  # Messages that a slot may be ahead; they may hold large checkpoints.
PATIENCE_SECONDS = 30.0  # Of a run without a node, before a note says so.
IDLE_SECONDS = 10.0  # After these, there is no run left for a slot.


@dataclasses.dataclass(eq=False)
class _Running:
    """A run on a slot.

    Attributes:
        config: The run, as it was passed to `start`.
        notify: Takes notes on it.
        actor: The slot.
        place: A reference to where the slot is; it is answered once there is one.
        node: Its name, once that is known.
        stream: The messages of the run, once it has been begun.
        locked: Holds the lock of the run's folder, if results are sent here.
        note_at: When to say that there is no slot yet, by `time.monotonic`.
    """

    config: RunConfig
    notify: Notify
    actor: Any
    place: Any
    node: str = ""
    stream: Any = None
    locked: contextlib.ExitStack = dataclasses.field(
        default_factory=contextlib.ExitStack
    )
    note_at: float = dataclasses.field(
        default_factory=lambda: time.monotonic() + PATIENCE_SECONDS
    )

    def say_if_waiting(self) -> None:
        """Says, once, that no node has had room for long."""
        if not self.node and time.monotonic() > self.note_at:
            self.note_at = float("inf")
            self.notify("waiting for a node of the Ray cluster that has room")


class RayExecutor(Executor):
    """Executes runs on the nodes of a Ray cluster.

    Args:
        options: See `Options`.

    Raises:
        UsageError: If Ray is not installed, if there is no cluster at the address, or
            if none of its nodes has what a run needs.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._ray = ray_connection.connect(options.address)
        self._opened = contextlib.ExitStack()
        self._opened.callback(self._ray.shutdown)
        try:
            self._needs = ray_connection.needs(self._ray, options)
        except BaseException:
            self._opened.close()
            raise
        self._capacity, self._counted_at = 0, float("-inf")
        self._setup: ray_slot.Setup | None = None
        self._running: list[_Running] = []
        self._idle: list[tuple[Any, float]] = []  # Slots, and since when.
        self._give_up_at: float | None = None

    def __exit__(self, *_: object) -> None:
        """Ends the slots and leaves the cluster."""
        self.kill()
        self._opened.close()

    def slots(self) -> int:
        """Returns how many runs the living nodes have room for; at least 1."""
        if time.monotonic() - self._counted_at > CAPACITY_SECONDS:
            self._capacity = self._needs.capacity(self._ray.nodes())
            self._counted_at = time.monotonic()
        # Without any, the next run waits in the cluster for a node to join.
        return max(1, min(self._capacity, self._options.runs_at_a_time or 2**31))

    def start(self, config: RunConfig, notify: Notify) -> None:
        """Begins a run on an idle slot, or on a new one once a node has room."""
        actor = self._idle.pop()[0] if self._idle else self._new_actor(config)
        self._running.append(_Running(config, notify, actor, actor.place.remote()))

    def _new_actor(self, config: RunConfig) -> Any:  # noqa: ANN401  (untyped in Ray)
        if self._setup is None:
            self._setup = self._prepare(files.expand(config.results_dir))
        slot = self._ray.remote(ray_slot.Slot).options(
            num_cpus=self._needs.cpus,
            num_gpus=self._needs.gpus,
            max_restarts=0,
            max_concurrency=2,  # `stop` is called while `run` is being executed.
        )
        return slot.remote(self._setup)

    def _prepare(self, results_dir: pathlib.Path) -> ray_slot.Setup:
        """Returns what slots need to know; marks the results folder."""
        token = None
        if not self._options.gather:
            folder = results_dir.absolute()
            marker = tempfile.NamedTemporaryFile(prefix=".sweep-", dir=folder)  # noqa: SIM115  (the stack closes it)
            self._opened.enter_context(marker)
            token = pathlib.Path(marker.name)
        return ray_slot.Setup(
            code=ray_slot.code_version(),
            working_folder=os.getcwd(),
            environment=ray_slot.environment(),
            has_gpus=self._needs.gpus > 0,
            token=token,
        )

    def wait(self, seconds: float) -> list[Ended]:
        """Waits for messages of the slots, and does what they ask for."""
        if self._give_up_at is not None and time.monotonic() > self._give_up_at:
            self.kill()
        self._free_idle()
        for run in self._running:
            run.say_if_waiting()
        sources = {run.stream or run.place: run for run in self._running}
        if not sources:
            return []
        ready, _ = self._ray.wait(
            list(sources), num_returns=1, timeout=seconds, fetch_local=False
        )
        ready += self._ray.wait(
            list(sources), num_returns=len(sources), timeout=0, fetch_local=False
        )[0]
        outcomes = [(sources[one], self._next(sources[one])) for one in set(ready)]
        return [
            self._end(run, outcome) for run, outcome in outcomes if outcome is not None
        ]

    def _next(self, run: _Running) -> Outcome | None:
        """Takes the next message of a run; returns the outcome if that is it."""
        exceptions = self._ray.exceptions
        try:
            if run.stream is None:
                return self._begin(run, *self._ray.get(run.place))
            return self._take(run, self._ray.get(next(run.stream)))
        except exceptions.RayTaskError as error:
            self._ray.kill(run.actor)
            return errors.UsageError(f"{_at(run)}: {ray_connection.gist(error)}")
        except errors.UsageError as error:  # Of the run's folder on this machine.
            self._ray.kill(run.actor)
            return error
        except (exceptions.RayError, StopIteration) as error:
            self._ray.kill(run.actor)
            self._counted_at = float("-inf")
            if getattr(error, "actor_init_failed", False):
                return errors.UsageError(
                    f"{_at(run)} can't execute runs: {ray_connection.gist(error)}; "
                    "install the same packages on all nodes"
                )
            return errors.WorkerDied(f"{_at(run)} or its worker died")

    def _begin(self, run: _Running, node: str, shares_results: bool) -> Outcome | None:
        """Begins a run on a slot that has answered."""
        run.node = ray_connection.name_of(self._ray, node)
        run.notify(f"on {_at(run)}")
        config, contents = run.config, None
        folder = config.folder
        if not shares_results:
            try:
                run.locked.enter_context(files.only_writer(folder.path))
                contents = {} if config.overwrite else gathering.pack(folder)
            except errors.Locked as error:
                self._hand_on(run.actor)
                return error
            except OSError as error:
                self._hand_on(run.actor)
                return errors.unreadable(folder.path, error)
        if config.data_dir is not None:
            data_dir = str(files.expand(config.data_dir).absolute())
            config = dataclasses.replace(config, data_dir=data_dir)
        results_dir = str(files.expand(config.results_dir).absolute())
        config = dataclasses.replace(config, results_dir=results_dir)
        begin = run.actor.run.options(_generator_backpressure_num_objects=UNREAD)
        run.stream = begin.remote(config, contents)
        return None

    def _take(self, run: _Running, message: ray_slot.Message) -> Outcome | None:
        """Does what a message asks for; returns the outcome if it is one."""
        if isinstance(message, ray_slot.Note):
            run.notify(message.text)
            return None
        if isinstance(message, gathering.Change):
            try:
                gathering.apply(run.config.folder, message)
            except OSError as error:
                raise errors.unwritable(run.config.folder.path, error) from error
            return None
        if not isinstance(message, errors.UsageError | errors.Interrupted):
            assert isinstance(message, ResultRecord)
        self._hand_on(run.actor)
        return message

    def _hand_on(self, actor: Any) -> None:  # noqa: ANN401  (untyped in Ray)
        """Gives an idle slot to a run that waits for one, which may never get room."""
        if self._give_up_at is not None:  # After `stop`, no run begins.
            return
        for run in self._running:
            is_placed = run.stream or self._ray.wait([run.place], timeout=0)[0]
            if not is_placed:
                self._ray.kill(run.actor)
                run.actor, run.place = actor, actor.place.remote()
                return
        self._idle.append((actor, time.monotonic()))

    def _free_idle(self) -> None:
        """Ends slots that are no longer needed; others may want what they hold."""
        since = time.monotonic() - IDLE_SECONDS
        for actor in [actor for actor, began in self._idle if began < since]:
            self._ray.kill(actor)
        self._idle = [(actor, began) for actor, began in self._idle if began >= since]

    def _end(self, run: _Running, outcome: Outcome) -> Ended:
        self._running.remove(run)
        run.locked.close()
        return Ended(run.config, outcome)

    def stop(self) -> None:
        """Asks all slots to stop; those that don't, in time, are killed."""
        self._give_up_at = time.monotonic() + STOP_SECONDS
        for run in self._running:
            if run.stream is None:
                self._ray.kill(run.actor)  # Nothing is lost.
            else:
                run.actor.stop.remote()

    def kill(self) -> None:
        """Ends all slots at once."""
        idle = [actor for actor, _ in self._idle]
        for actor in [*idle, *(run.actor for run in self._running)]:
            self._ray.kill(actor)
        self._idle.clear()


def _at(run: _Running) -> str:
    """Returns where a run is, for people."""
    return f"node {run.node}" if run.node else "a node"


def create(options: Options) -> RayExecutor:
    """Returns an executor for the nodes of a Ray cluster.

    Args:
        options: See `Options`.

    Raises:
        UsageError: See `RayExecutor`.
    """
    with signals.kept():
        return RayExecutor(options)
