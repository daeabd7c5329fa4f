"""The files of a run, sent from one machine to another while it is executed.

The machine that executes a run writes to a folder of its own; a `Watcher` notices what
has changed there, and `apply` does the same to the run's folder on the other machine.
Files arrive in any order but two: `config.json` first and `result.json` last. A
checkpoint holds a run's whole history, so whatever has arrived can be resumed from.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Mapping

from normtest_tf.runs import RunFolder
from normtest_tf.system import files


@dataclasses.dataclass(frozen=True)
class Change:
    """What has changed in a run's folder.

    Attributes:
        names: All files that are there, by their paths in the folder, with slashes.
        contents: Of those that are new or have changed.
    """

    names: frozenset[str]
    contents: Mapping[str, bytes]


class Watcher:
    """Notices changes in a run's folder.

    Args:
        folder: The run's, which need not exist.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._known: dict[str, tuple[int, int, int]] = {}

    def change(self) -> Change | None:
        """Returns what has changed since the last call; None if nothing has.

        As long as the folder does not hold a run, nothing has.
        """
        if not self._folder.is_started():
            return None
        found = {name: _identify(path) for name, path in _own_files(self._folder)}
        seen = {name: what for name, what in found.items() if what is not None}
        contents = {}
        for name in [name for name in seen if seen[name] != self._known.get(name)]:
            try:
                contents[name] = (self._folder.path / name).read_bytes()
            except FileNotFoundError:  # Replaced or removed meanwhile: next time.
                del seen[name]
        if not contents and seen.keys() == self._known.keys():
            return None
        self._known = seen
        return Change(frozenset(seen), contents)


def pack(folder: RunFolder) -> dict[str, bytes]:
    """Returns the files that a run resumes from, by their paths in its folder."""
    return {name: path.read_bytes() for name, path in _own_files(folder)}


def unpack(folder: RunFolder, contents: Mapping[str, bytes]) -> None:
    """Writes what `pack` has returned elsewhere.

    Raises:
        OSError: If it can't be written.
    """
    for name, content in contents.items():
        path = folder.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def apply(folder: RunFolder, change: Change) -> None:
    """Makes a run's folder what another one has become.

    Args:
        folder: Locked by this process. Exports and files of others stay there.
        change: From a `Watcher`.

    Raises:
        OSError: If it can't be written.
    """
    result, config = folder.result.name, folder.config.name
    if result not in change.names:
        folder.result.unlink(missing_ok=True)
    order = sorted(change.contents, key=lambda name: (name == result, name != config))
    for name in order:
        with files.atomic_path(folder.path / name) as temporary:
            temporary.write_bytes(change.contents[name])
    for name, path in _own_files(folder):
        if name not in change.names:
            path.unlink(missing_ok=True)
    for path in (folder.checkpoints, folder.tensorboard):
        with contextlib.suppress(OSError):  # It holds something.
            path.rmdir()


def _own_files(folder: RunFolder) -> list[tuple[str, pathlib.Path]]:
    """Returns the complete files that a run has written, with their names."""
    # The result first: if it is there, so are the others.
    found = [folder.result, folder.config, folder.history, folder.model, folder.failure]
    for inner in (folder.checkpoints, folder.tensorboard):
        with contextlib.suppress(FileNotFoundError):
            found += [path for path in inner.iterdir() if path.is_file()]
    return [
        (path.relative_to(folder.path).as_posix(), path)
        for path in found
        if path.is_file()
    ]


def _identify(path: pathlib.Path) -> tuple[int, int, int] | None:
    """Returns what differs between two versions of a file; None if it is gone."""
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(path)
        return status.st_ino, status.st_size, status.st_mtime_ns
    return None
