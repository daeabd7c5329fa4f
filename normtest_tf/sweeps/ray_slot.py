"""A slot on a node of a Ray cluster, where runs are executed one after another.

`ray_cluster` makes an actor of `Slot`. Its process is light; runs are executed in a
worker process of its own, as on a single machine, so TensorFlow starts with the
environment that it should have, and a crash is noticed.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import hashlib
import os
import pathlib
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import normtest_tf
from normtest_tf import errors
from normtest_tf.runs import ResultRecord, RunConfig
from normtest_tf.sweeps import executor, gathering, local
from normtest_tf.sweeps.executor import RUNS_PER_WORKER, Outcome
from normtest_tf.system import keras_setup, workers

POLL_SECONDS = 0.25
# Variables of these libraries, which a run on another node should have, too.
_PREFIXES = ("KERAS_", "TF_", "XLA_", "JAX_", "NVIDIA_TF32")
_THREADS = "OMP_NUM_THREADS"  # Ray sets it to the CPUs of an actor.
# The folders of slots; machines may share the folder that holds them.
_SCRATCH = f"normtest_tf-{platform.node()}-"


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a slot has to have in common with the process that runs the sweep.

    Attributes:
        code: From `code_version`.
        working_folder: Relative paths start there.
        environment: Variables of the libraries that runs use.
        has_gpus: Whether runs use GPUs.
        token: A file that exists where the results folder is shared; None if results
            have to be sent in any case.
    """

    code: str
    working_folder: str
    environment: Mapping[str, str]
    has_gpus: bool
    token: pathlib.Path | None


@dataclasses.dataclass(frozen=True)
class Note:
    """A message for the user."""

    text: str


# What a slot says while it executes a run; the outcome comes last.
Message: TypeAlias = Note | gathering.Change | Outcome


@functools.cache
def code_version() -> str:
    """Returns the package's version and a digest of its code: `0.9.0 (1f0c...)`."""
    root = pathlib.Path(normtest_tf.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return f"{normtest_tf.__version__} ({digest.hexdigest()[:12]})"


def environment() -> dict[str, str]:
    """Returns this process's variables that runs on other nodes should have."""
    found = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_PREFIXES) or name == _THREADS
    }
    # Nodes may have been started with another default.
    return found | {"KERAS_BACKEND": keras_setup.backend()}


class Slot:
    """Executes runs, one at a time, in a worker process.

    Args:
        setup: What the sweep's process has.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._stopping = False
        self._runs = 0
        os.environ.pop(_THREADS, None)
        if os.path.isdir(setup.working_folder):
            os.chdir(setup.working_folder)
        hidden = {} if setup.has_gpus else {local.GPUS: "-1"}
        self._worker = workers.Worker({**setup.environment, **hidden})
        _remove_scratch_of_the_dead()

    def place(self) -> tuple[str, bool]:
        """Returns this node's identifier, and whether it sees the results folder."""
        import ray

        shares = self._setup.token is not None and self._setup.token.exists()
        return ray.get_runtime_context().get_node_id(), shares

    def run(
        self, config: RunConfig, contents: Mapping[str, bytes] | None
    ) -> Iterator[Message]:
        """Executes a run.

        Args:
            config: The run.
            contents: The files to resume from, from `gathering.pack`, if what it
                writes is to be sent; None to write to the results folder itself.

        Yields:
            Notes, changes of its folder if they are to be sent, and its outcome.
        """
        prefix = f"{_SCRATCH}{os.getpid()}-"
        with tempfile.TemporaryDirectory(prefix=prefix) as scratch:
            path = pathlib.Path(scratch)
            executed, watcher = config, None
            try:
                self._check_code()
                if contents is not None:
                    executed = dataclasses.replace(config, results_dir=str(path / "r"))
                    gathering.unpack(executed.folder, contents)
                    watcher = gathering.Watcher(executed.folder)
            except (errors.UsageError, OSError) as error:
                yield errors.UsageError(errors.one_line(error))
                return
            renamed = (str(executed.folder), str(config.folder))
            yield from self._execute(executed, path / "notes", watcher, renamed)

    def stop(self) -> None:
        """Stops the run where it can resume. Called while `run` is being executed."""
        self._stopping = True
        self._worker.terminate()

    def _check_code(self) -> None:
        """Checks that this node would compute what the others do."""
        here, there = code_version(), self._setup.code
        if here != there:
            raise errors.UsageError(
                f"the node {platform.node()} has normtest_tf {here}, and the sweep "
                f"{there}; install the same version on all nodes"
            )

    def _execute(
        self,
        config: RunConfig,
        notes: pathlib.Path,
        watcher: gathering.Watcher | None,
        renamed: tuple[str, str],
    ) -> Iterator[Message]:
        """Executes a run, and says what happens meanwhile.

        Args:
            config: The run, with the folder to write to.
            notes: A file for notes.
            watcher: Of the folder, if changes are to be sent.
            renamed: The folder's name here, and its name for the user.
        """
        if self._runs and self._runs % RUNS_PER_WORKER == 0:
            self._worker.renew()
        self._runs += 1
        future = self._worker.submit(executor.execute, config, Spool(notes))
        if self._stopping:  # Perhaps before there was a process to stop.
            self._worker.terminate()
        read, ended = 0, False
        while not ended:
            # Asked before the files are read, so that nothing is missed at the end.
            ended = bool(concurrent.futures.wait([future], POLL_SECONDS).done)
            lines = _read_lines(notes)
            for line in lines[read:]:
                yield Note(line.replace(*renamed))
            read = len(lines)
            if watcher is not None and (change := watcher.change()) is not None:
                yield change
        yield self._outcome(future, renamed)

    def _outcome(
        self, future: concurrent.futures.Future[ResultRecord], renamed: tuple[str, str]
    ) -> Outcome:
        """Returns how a run ended, with the folder's name for the user."""
        try:
            return self._worker.result(future)
        except errors.Interrupted as error:
            if not self._stopping:
                return errors.WorkerDied("a signal stopped the run's worker process")
            hint = error.resume_hint.replace(*renamed)
            return errors.Interrupted(hint, error.number)
        except (errors.TrainingFailed, errors.WorkerDied, errors.Locked) as error:
            return error
        except errors.UsageError as error:
            return errors.UsageError(str(error).replace(*renamed))


@dataclasses.dataclass(frozen=True)
class Spool:
    """A `notify` that appends to a file, which another process reads.

    Attributes:
        path: The file.
    """

    path: pathlib.Path

    def __call__(self, text: str) -> None:
        """Appends a line."""
        with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(" ".join(text.split()) + "\n")


def _read_lines(path: pathlib.Path) -> list[str]:
    """Returns the complete lines of a file, none if it does not exist."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return text.split("\n")[:-1]


def _remove_scratch_of_the_dead() -> None:
    """Removes the folders of slots on this machine that were killed."""
    for path in pathlib.Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*-*"):
        number = path.name.removeprefix(_SCRATCH).partition("-")[0]
        if number.isdecimal() and not _is_alive(int(number)):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(number: int) -> bool:
    """Tells whether there is a process of this number."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:  # It is somebody else's.
        pass
    return True
