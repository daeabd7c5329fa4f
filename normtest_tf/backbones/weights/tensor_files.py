"""The tensors of one safetensors file, or of all files that an index lists."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator, Mapping

import ml_dtypes  # noqa: F401  (adds the dtype bfloat16 to NumPy)
import numpy as np
import safetensors

from normtest_tf import errors
from normtest_tf.backbones.weights import safetensors_header, shards


class Tensors:
    """Open files, read as if they were one.

    Args:
        files: The open files, by their paths.
        owners: The path of each tensor's file, by the tensor's name.
    """

    def __init__(
        self,
        files: Mapping[pathlib.Path, safetensors.safe_open],
        owners: Mapping[str, pathlib.Path],
    ) -> None:
        self._files = files
        self._owners = owners

    def names(self) -> list[str]:
        """Returns the names of all tensors, in the order of the files."""
        return list(self._owners)

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a tensor."""
        with _named(self._owners[name]):
            return tuple(self._file(name).get_slice(name).get_shape())

    def dtype(self, name: str) -> str:
        """Returns the dtype of a tensor, as safetensors calls it, such as `F32`."""
        with _named(self._owners[name]):
            return self._file(name).get_slice(name).get_dtype()

    def read(self, name: str) -> np.ndarray:
        """Returns a tensor, in its own dtype and PyTorch's order of axes.

        Raises:
            UsageError: If the file can't be read.
        """
        with _named(self._owners[name]):
            return self._file(name).get_tensor(name)

    def _file(self, name: str) -> safetensors.safe_open:
        return self._files[self._owners[name]]


@contextlib.contextmanager
def open_tensors(path: pathlib.Path) -> Iterator[Tensors]:
    """Opens a safetensors file, or all files that an index lists.

    Args:
        path: The file or the index.

    Yields:
        The tensors, readable within the block.

    Raises:
        UsageError: If a file is missing or is not a valid safetensors file, if two
            of them have a tensor of the same name, or if the index lists other
            tensors than they hold.
    """
    listed = shards.read_index(path) if shards.is_index(path) else None
    paths = [path] if listed is None else shards.parts(listed)
    with contextlib.ExitStack() as stack:
        opened = {file: _open(file, stack) for file in paths}
        owners = _owners(opened)
        if listed is not None:
            _check_index(path, listed, owners)
        yield Tensors(opened, owners)


def _open(path: pathlib.Path, stack: contextlib.ExitStack) -> safetensors.safe_open:
    """Opens one file, until the stack is closed."""
    with _named(path):
        file = stack.enter_context(safetensors.safe_open(path, framework="numpy"))
    if problem := safetensors_header.repeated_name(path):
        raise _incomplete(path, problem)
    return file


def _owners(
    files: Mapping[pathlib.Path, safetensors.safe_open],
) -> dict[str, pathlib.Path]:
    """Returns the path of each tensor's file."""
    owners: dict[str, pathlib.Path] = {}
    for path, file in files.items():
        for name in file.keys():  # noqa: SIM118  (not a dict)
            if name in owners:
                raise errors.UsageError(
                    f"{path} has tensor {name!r}, and so has {owners[name].name}; "
                    + shards.AGAIN
                )
            owners[name] = path
    return owners


def _check_index(
    path: pathlib.Path,
    listed: Mapping[str, pathlib.Path],
    owners: Mapping[str, pathlib.Path],
) -> None:
    """Raises unless an index lists every tensor, and in the right file."""
    for name in sorted(listed.keys() | owners.keys()):
        if name not in listed:
            raise errors.UsageError(
                f"{owners[name]} has tensor {name!r}, which {path.name} does not "
                f"list; {shards.AGAIN}"
            )
        if owners.get(name) != listed[name]:
            raise errors.UsageError(
                f"{path} lists tensor {name!r} in {listed[name].name}, which does not "
                f"hold it; {shards.AGAIN}"
            )


@contextlib.contextmanager
def _named(path: pathlib.Path) -> Iterator[None]:
    """Turns the library's errors into ones that name the file and the fault."""
    try:
        yield
    except safetensors.SafetensorError as error:
        problem = safetensors_header.fault(path) or errors.one_line(error)
        raise _incomplete(path, problem) from error
    except OSError as error:
        raise _incomplete(path, errors.one_line(error)) from error


def _incomplete(path: pathlib.Path, problem: str) -> errors.UsageError:
    return errors.UsageError(
        f"{path} is not a complete safetensors file: {problem}; download or write it "
        "again"
    )
