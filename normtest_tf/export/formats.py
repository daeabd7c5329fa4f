"""The file formats that a run's model can be exported to.

`writers.WRITERS` and `runtimes.LOADERS` have an entry for each, under the same name.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from normtest_tf import errors
from normtest_tf.export import timm_folders
from normtest_tf.runs import RunFolder
from normtest_tf.runs.metadata import LOGITS
from normtest_tf.system import files


class ExportError(RuntimeError):
    """An export can't be written or run, or does not match the run's model."""


@dataclasses.dataclass(frozen=True)
class Format:
    """A file format, and what it takes to write and reload it."""

    name: str  # On the command line.
    suffix: str = ""  # Of its files; "" for a format that is a folder.
    marker: str = ""  # The file that identifies a folder of this format.
    packages: tuple[str, ...] = ()  # That it needs in addition to TensorFlow.
    # Whether only TensorFlow can write it; with another backend of Keras, a process of
    # its own does.
    by_tensorflow: bool = False
    # The packages of an optional runtime. Without, exports are read back into Keras.
    runtime: tuple[str, ...] = ()
    # Raises `UsageError` for the metadata of a run that it can't express.
    check: Callable[[dict[str, Any]], None] = lambda description: None

    def verified_by(self) -> str:
        """Returns how exports are verified, for a message; "" if there is one way."""
        if not self.runtime:
            return ""
        if names := missing(self.runtime):
            return f", read back into Keras for lack of {' and '.join(names)},"
        return f", run by {' and '.join(self.runtime)},"

    def check_installed(self) -> None:
        """Raises `UsageError`, with the pip command, if a package is missing."""
        if names := missing(self.packages):
            raise errors.UsageError(
                f"--format={self.name} needs {' and '.join(names)}: pip install "
                + " ".join(names)
            )

    def default_path(self, folder: RunFolder, output: str) -> pathlib.Path:
        """Returns where an export goes by default, by what it computes."""
        stem = "model" if self.suffix else self.name
        if output != LOGITS:
            stem += f"-{output}"
        return folder.exports / f"{stem}{self.suffix}"

    def check_path(self, path: pathlib.Path, *, overwrite: bool) -> None:
        """Raises `UsageError` if an export must not or can't be written to a path."""
        problem = ""
        run = RunFolder(path.parent)
        if path == run.model and run.is_started():
            problem = "is the model of a run, which an export must not replace"
        elif self.suffix and path.suffix != self.suffix:
            problem = f"does not end in {self.suffix}"
        elif os.path.exists(path):  # `Path.exists` would raise.
            if not os.path.isfile(path / self.marker if self.marker else path):
                problem = f"exists and is not an export with --format={self.name}"
            elif not overwrite:
                raise errors.UsageError(
                    f"{path} exists; pass --overwrite to replace it"
                )
        if problem:
            raise errors.UsageError(f"{path} {problem}; choose another --output")
        files.check_writable(path.parent)


def missing(packages: Sequence[str]) -> list[str]:
    """Returns the packages that are not installed, without importing any."""
    find = importlib.util.find_spec
    return [name for name in packages if find(name.replace("-", "_")) is None]


FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format("keras", suffix=".keras"),
        Format("keras_folder", marker="model.weights.h5"),
        Format("saved_model", marker="saved_model.pb", by_tensorflow=True),
        Format(
            "onnx",
            suffix=".onnx",
            packages=("tf2onnx", "onnx", "onnxruntime"),
            by_tensorflow=True,
        ),
        Format(
            "litert", suffix=".tflite", packages=("ai-edge-litert",), by_tensorflow=True
        ),
        Format(
            "timm",
            marker="normtest_tf.json",
            runtime=("torch", "timm"),
            check=timm_folders.check,
        ),
    )
}
