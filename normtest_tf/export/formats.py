"""The file formats that a run's model can be exported to.

`writers.WRITERS` and `runtimes.LOADERS` have an entry for each, under the same name.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import pathlib
from collections.abc import Callable
from typing import Any

from normtest_tf import errors
from normtest_tf.export import timm_folders
from normtest_tf.runs import RunFolder
from normtest_tf.system import files

# What an exported model can compute from an image.
LOGITS = "logits"
PROBABILITIES = "probabilities"
FEATURES = "features"
OUTPUTS = (LOGITS, PROBABILITIES, FEATURES)


class ExportError(RuntimeError):
    """An export can't be written or run, or does not match the run's model."""


@dataclasses.dataclass(frozen=True)
class Format:
    """A file format, and what it takes to write and reload it.

    Attributes:
        name: Its name on the command line.
        suffix: The suffix of its files; "" for a format that is a folder.
        marker: The file that identifies a folder of this format.
        modules: The modules it needs in addition to TensorFlow, by the names of their
            packages on PyPI.
        by_tensorflow: Whether only TensorFlow can write it; with another backend of
            Keras, a process of its own does.
        outputs: What its exports can compute, of `OUTPUTS`.
        check: Raises `UsageError` for a run's metadata that it can't express.
        runtime: The modules of an optional runtime, likewise. Without it, exports are
            read back into Keras.
    """

    name: str
    suffix: str = ""
    marker: str = ""
    modules: dict[str, str] = dataclasses.field(default_factory=dict)
    by_tensorflow: bool = False
    outputs: tuple[str, ...] = OUTPUTS
    check: Callable[[dict[str, Any]], None] | None = None
    runtime: dict[str, str] = dataclasses.field(default_factory=dict)

    def missing(self) -> list[str]:
        """Returns the packages that have to be installed to use this format."""
        return _not_installed(self.modules)

    def missing_runtime(self) -> list[str]:
        """Returns the packages of `runtime` that are not installed."""
        return _not_installed(self.runtime)

    def verified_by(self) -> str:
        """Returns how exports are verified, for a message; "" if there is one way."""
        if not self.runtime:
            return ""
        if missing := self.missing_runtime():
            return f", read back into Keras for lack of {' and '.join(missing)},"
        return f", run by {' and '.join(self.runtime)},"

    def check_run(self, description: dict[str, Any]) -> None:
        """Raises `UsageError` if this format can't express a run's model.

        Args:
            description: The run's metadata, from `describe_run`.
        """
        if (output := description["output"]) not in self.outputs:
            raise errors.UsageError(
                f"--format={self.name} has {' and '.join(self.outputs)} only; omit "
                f"--{output}, or choose another --format"
            )
        if self.check is not None:
            self.check(description)

    def check_installed(self) -> None:
        """Raises `UsageError`, with the pip command, if a package is missing."""
        if missing := self.missing():
            raise errors.UsageError(
                f"--format={self.name} needs {' and '.join(missing)}: pip install "
                + " ".join(missing)
            )

    def default_path(self, folder: RunFolder, output: str) -> pathlib.Path:
        """Returns where an export of one of `OUTPUTS` goes by default."""
        stem = "model" if self.suffix else self.name
        if output != LOGITS:
            stem += f"-{output}"
        return folder.exports / f"{stem}{self.suffix}"

    def check_path(self, path: pathlib.Path, *, overwrite: bool) -> None:
        """Raises `UsageError` if an export must not or can't be written to a path."""
        run = RunFolder(path.parent)
        if path == run.model and run.is_started():
            raise errors.UsageError(
                f"{path} is the model of a run, which an export must not replace; "
                "choose another --output"
            )
        if self.suffix and path.suffix != self.suffix:
            raise errors.UsageError(
                f"--output must end in {self.suffix} for --format={self.name}. "
                f"Received: {path}"
            )
        if os.path.exists(path):  # `Path.exists` would raise.
            if not os.path.isfile(path / self.marker if self.marker else path):
                raise errors.UsageError(
                    f"{path} exists and is not an export with --format={self.name}; "
                    "choose another --output"
                )
            if not overwrite:
                raise errors.UsageError(
                    f"{path} exists; pass --overwrite to replace it"
                )
        files.check_writable(path.parent)


def _not_installed(modules: dict[str, str]) -> list[str]:
    """Returns the packages whose modules can't be found, without importing any."""
    return [name for name, module in modules.items() if not _is_installed(module)]


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


_ONNX = ("tf2onnx", "onnx", "onnxruntime")
FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format("keras", suffix=".keras"),
        Format("saved_model", marker="saved_model.pb", by_tensorflow=True),
        Format(
            "onnx",
            suffix=".onnx",
            by_tensorflow=True,
            modules={name: name for name in _ONNX},
        ),
        Format(
            "litert",
            suffix=".tflite",
            by_tensorflow=True,
            modules={"ai-edge-litert": "ai_edge_litert"},
        ),
        Format(
            "timm",
            marker="normtest_tf.json",
            outputs=(LOGITS,),
            check=timm_folders.check,
            runtime={"torch": "torch", "timm": "timm"},
        ),
    )
}
