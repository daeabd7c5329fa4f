"""Checkpoints: the files that an interrupted run resumes from.

The last two are kept, as `checkpoints/epoch-00003.ckpt`. A file consists of

    8 bytes    `NORMCKP1`, the format
    32 bytes   the SHA-256 of all that follows
    the rest   a safetensors file: named tensors, and JSON in the tensor `meta`

The digest is compared before anything is parsed, so a file that is truncated, or has
a single bit flipped, is never used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import shutil
from typing import Any

import numpy as np
import safetensors.numpy

from normtest_tf import errors
from normtest_tf.runs.folder import CHECKPOINTS, RunFolder, checkpoint_name
from normtest_tf.system import files

MAGIC = b"NORMCKP1"
DIGEST_BYTES = hashlib.sha256().digest_size
_META = "meta"


class UnreadableError(ValueError):
    """Bytes that are not a complete checkpoint."""


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run's progress.

    Attributes:
        epoch: The number of completed epochs.
        meta: Values for JSON.
        tensors: Named arrays.
    """

    epoch: int
    meta: dict[str, Any]
    tensors: dict[str, np.ndarray]


def encode(checkpoint: Checkpoint) -> bytes:
    """Returns a checkpoint as the content of a file."""
    meta = {"epoch": checkpoint.epoch, "meta": checkpoint.meta}
    text = json.dumps(meta, allow_nan=False).encode()
    content = safetensors.numpy.save(
        {**checkpoint.tensors, _META: np.frombuffer(text, np.uint8)}
    )
    return MAGIC + hashlib.sha256(content).digest() + content


def decode(data: bytes) -> Checkpoint:
    """Returns the checkpoint that `encode` turned into bytes.

    Raises:
        UnreadableError: If the bytes are not a complete checkpoint.
    """
    start = len(MAGIC) + DIGEST_BYTES
    view = memoryview(data)
    if view[: len(MAGIC)] != MAGIC:
        raise UnreadableError("it is not a checkpoint of this format")
    if hashlib.sha256(view[start:]).digest() != view[len(MAGIC) : start]:
        raise UnreadableError("its content is corrupt or incomplete")
    try:
        tensors = safetensors.numpy.load(bytes(view[start:]))
        meta = json.loads(tensors.pop(_META).tobytes())
        return Checkpoint(int(meta["epoch"]), dict(meta["meta"]), tensors)
    except (safetensors.SafetensorError, ValueError, TypeError, LookupError) as error:
        raise UnreadableError(errors.one_line(error)) from error


class Store:
    """The checkpoints of a run; the last two are kept.

    Args:
        folder: For checkpoints alone; it need not exist.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._last: pathlib.Path | None = None

    def exists(self) -> bool:
        """Tells whether there is, or was, a checkpoint."""
        return self._folder.is_dir()

    def read_latest(self) -> tuple[Checkpoint | None, list[str]]:
        """Returns the latest readable checkpoint, or None.

        Returns:
            The checkpoint, and a sentence on each later one that can't be read.
        """
        problems = []
        for path in sorted(self._folder.glob(CHECKPOINTS), reverse=True):
            try:
                checkpoint = decode(path.read_bytes())
            except (OSError, UnreadableError) as error:
                problems.append(
                    f"skipped the checkpoint {path}: {errors.one_line(error)}"
                )
            else:
                self._last = path
                return checkpoint, problems
        return None, problems

    def write(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint; it and the last good one before it are kept.

        Raises:
            OSError: If it can't be written; existing checkpoints are kept.
        """
        path = self._folder / checkpoint_name(checkpoint.epoch)
        with files.atomic_path(path) as temporary:
            temporary.write_bytes(encode(checkpoint))
        for other in self._folder.glob(CHECKPOINTS):
            if other not in (path, self._last):
                other.unlink()
        self._last = path

    def remove_leftovers(self) -> None:
        """Removes what a killed process left unfinished."""
        files.remove_leftovers(self._folder)

    def remove(self) -> None:
        """Removes all checkpoints."""
        shutil.rmtree(self._folder, ignore_errors=True)


def remove_of_finished(folder: RunFolder) -> None:
    """Removes the checkpoints of a run that was killed just after it finished."""
    store = Store(folder.checkpoints)
    if store.exists():
        with contextlib.suppress(errors.Locked), files.only_writer(folder.path):
            if folder.is_finished():
                store.remove()
