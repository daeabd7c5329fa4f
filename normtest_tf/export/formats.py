"""The formats that a run's model can be exported to; light to import."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib

from normtest_tf import errors
from normtest_tf.system import files


@dataclasses.dataclass(frozen=True)
class Format:
    """A file format and what it takes to write and to reload it.

    Attributes:
        name: Its name on the command line.
        suffix: How the name of such a file ends; "" for a folder.
        modules: The modules that TensorFlow itself does not bring, by the names
            that pip knows them under.
        any_backend: Whether it can be written under every Keras backend.
    """

    name: str
    suffix: str
    modules: dict[str, str] = dataclasses.field(default_factory=dict)
    any_backend: bool = False

    def missing(self) -> list[str]:
        """Returns what pip has to install before this format can be used."""
        return [
            package for package, module in self.modules.items() if not _found(module)
        ]

    def check_installed(self) -> None:
        """Raises `UsageError`, with the pip command, if something is missing."""
        if missing := self.missing():
            raise errors.UsageError(
                f"--format={self.name} needs {' and '.join(missing)}: pip install "
                + " ".join(missing)
            )

    def default_path(self, run_dir: pathlib.Path, output: str) -> pathlib.Path:
        """Returns where an export goes if no place is named.

        Args:
            run_dir: The run's folder.
            output: `logits`, `probabilities` or `features`.

        Returns:
            For example `<run_dir>/export/model-features.onnx`.
        """
        kind = "" if output == "logits" else f"-{output}"
        stem = "model" if self.suffix else self.name
        return run_dir / "export" / f"{stem}{kind}{self.suffix}"

    def check_path(self, path: pathlib.Path, *, overwrite: bool) -> None:
        """Checks that an export can and may be written to a path.

        Args:
            path: A file, or the folder of a SavedModel.
            overwrite: Whether an earlier export may be replaced.

        Raises:
            UsageError: If not. Nothing is written either way.
        """
        if self.suffix and path.suffix != self.suffix:
            raise errors.UsageError(
                f"--output must end in {self.suffix} for --format={self.name}. "
                f"Received: {path}"
            )
        if path.exists():
            if not self._is_export(path):
                raise errors.UsageError(
                    f"{path} exists and is no {self.name} export; choose another "
                    "--output"
                )
            if not overwrite:
                raise errors.UsageError(
                    f"{path} exists; pass --overwrite to replace it"
                )
        files.check_writable(path.parent)

    def _is_export(self, path: pathlib.Path) -> bool:
        """Tells whether what lies at a path may be replaced; a folder may hold more."""
        if self.suffix:
            return path.is_file()
        return (path / "saved_model.pb").is_file()


def _found(module: str) -> bool:
    """Tells whether a module can be imported, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format("keras", ".keras", any_backend=True),
        Format("saved_model", ""),
        Format(
            "onnx",
            ".onnx",
            {"tf2onnx": "tf2onnx", "onnx": "onnx", "onnxruntime": "onnxruntime"},
        ),
        Format("litert", ".tflite", {"ai-edge-litert": "ai_edge_litert"}),
    )
}
