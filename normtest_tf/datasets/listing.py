"""Which files of a tree are pictures, and which entries are left out and why."""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib

from normtest_tf import errors
from normtest_tf.datasets import picture_kinds
from normtest_tf.system import files
from normtest_tf.text import counted, shown

_SYSTEM_NAMES = frozenset(
    {
        "__macosx",
        "__pycache__",
        "@eadir",
        "#recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
    }
)


@dataclasses.dataclass
class LeftOut:
    """What is left out of a data set.

    Attributes:
        system: The number of hidden and system entries; folders count as one.
        loose: The number of files outside class folders.
        others: The number of files that are no pictures, by suffix.
        links: The number of links to folders that are read already, or that contain
            the data set.
        notes: Phrases about anything else.
    """

    system: int = 0
    loose: int = 0
    others: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )
    links: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)

    def add(self, other: LeftOut) -> None:
        """Adds what was left out elsewhere."""
        self.system += other.system
        self.loose += other.loose
        self.others += other.others
        self.links += other.links
        self.notes += other.notes

    def __str__(self) -> str:
        """Lists it, as `2 files without an image (.txt)`; "" if there is nothing."""
        phrases = []
        if self.system:
            entry = "entry" if self.system == 1 else "entries"
            phrases.append(f"{self.system} hidden or system {entry}")
        if self.others:
            number = counted(self.others.total(), "file")
            suffixes = sorted(suffix or "no suffix" for suffix in self.others)
            listed = ", ".join(suffixes[:5]) + (", ..." if len(suffixes) > 5 else "")
            phrases.append(f"{number} without an image ({shown(listed)})")
        if self.loose:
            phrases.append(f"{counted(self.loose, 'file')} outside the class folders")
        if self.links:
            one = "1 link to a folder that is read already or leads back"
            more = f"{self.links} links to folders that are read already or lead back"
            phrases.append(one if self.links == 1 else more)
        return ", ".join(phrases + self.notes)


def is_system(name: str) -> bool:
    """Tells whether an entry belongs to the system or a tool, or is hidden.

    Args:
        name: The name of a file or folder, without its path.
    """
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def is_picture(path: pathlib.Path) -> bool:
    """Tells whether a file is meant as a picture, by its suffix or its content.

    Args:
        path: Anything; a pipe, a device or an unreadable file without the suffix of
            an image is none.
    """
    suffix = path.suffix.lower()
    if suffix in picture_kinds.SUFFIXES:
        return True
    try:
        # Opening a named pipe would block for ever.
        if not path.is_file():
            return False
        head = files.read_head(path)
    except OSError:
        return False
    return picture_kinds.is_picture(head, suffix)


def entries(folder: pathlib.Path, left_out: LeftOut) -> list[pathlib.Path]:
    """Returns a folder's sorted entries, without hidden and system ones.

    Args:
        folder: The folder.
        left_out: Counts the others.

    Raises:
        UsageError: If the folder can't be listed.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise errors.UsageError(
            f"{shown(str(folder))} can't be listed: {errors.reason(error)}. Make it "
            "readable"
        ) from error
    kept = [name for name in names if not is_system(name)]
    left_out.system += len(names) - len(kept)
    return [folder / name for name in kept]


def pictures(
    folder: pathlib.Path, root: pathlib.Path, left_out: LeftOut
) -> list[pathlib.Path]:
    """Returns the pictures of a class, those in nested folders included.

    Links to folders are followed, unless they lead back into the data set or to a
    folder that contains it.

    Args:
        folder: The class's folder.
        root: The data set's folder.
        left_out: Counts what is left out.

    Raises:
        UsageError: If a folder can't be listed.
    """
    start = folder.resolve()
    if _contains(start, folder.parent.resolve()):
        return []
    found, pending, visited = [], [folder], {start}
    while pending:
        parent = pending.pop()
        for path in entries(parent, left_out):
            if is_folder(path):
                target = path.resolve()
                if target in visited or (
                    path.is_symlink() and _leads_back(target, parent, root)
                ):
                    left_out.links += 1
                    continue
                visited.add(target)
                pending.append(path)
            elif is_picture(path):
                found.append(path)
            else:
                left_out.others[path.suffix.lower()] += 1
    return found


def is_folder(path: pathlib.Path) -> bool:
    """Tells whether a path is a folder; one that can't be accessed is none."""
    return os.path.isdir(path)  # `Path.is_dir` would raise.


def is_broken_link(path: pathlib.Path) -> bool:
    """Tells whether a path is a link to something that does not exist."""
    try:
        path.stat()
    except FileNotFoundError:
        return path.is_symlink()
    except OSError:  # Such as a link to itself.
        pass
    return False


def _leads_back(target: pathlib.Path, parent: pathlib.Path, root: pathlib.Path) -> bool:
    """Tells whether a link leads into the data set, or to a folder around it."""
    root = root.resolve()
    around = _contains(target, root) or _contains(target, parent.resolve())
    return around or _contains(root, target)


def _contains(folder: pathlib.Path, path: pathlib.Path) -> bool:
    return path == folder or folder in path.parents
