"""What a model's file says about the model: class names, statistics, origin.

A run's folder says it in `config.json`. An export carries it inside, as the JSON
file `normtest_tf.json`: a member of the archive that a `.keras` file is, a member
of an archive appended to a `.tflite` file (where LiteRT's own tools keep label
files), a file in the `assets.extra` folder of a SavedModel; and in ONNX as
`metadata_props`, one entry a key.
"""

from __future__ import annotations

import json
import pathlib
import zipfile
from typing import Any

from normtest_tf import __version__, errors, runs

FORMAT = 1
MEMBER = "normtest_tf.json"


def describe_run(run_dir: pathlib.Path, output: str) -> dict[str, Any]:
    """Returns the metadata of a finished run's model.

    Args:
        run_dir: The run's folder.
        output: What the model gives for an image: `logits`, `probabilities` or
            `features`.

    Returns:
        Values ready for JSON.

    Raises:
        UsageError: If the folder does not hold a finished run.
    """
    if not run_dir.is_dir():
        raise errors.UsageError(f"{run_dir} is not a folder; name a run's folder")
    if not runs.is_finished(run_dir):
        raise errors.UsageError(
            f"{run_dir} holds no finished run: it lacks result.json. A run's folder "
            "is <results_dir>/<dataset>/<model>-<normalization>/seed-<seed>"
        )
    config = runs.read_json(run_dir / "config.json")
    result = runs.read_json(run_dir / "result.json")
    try:
        requested, resolved = config["requested"], config["resolved"]
        return {
            "format": FORMAT,
            "written_by": f"normtest_tf {__version__}",
            "output": output,
            "class_names": list(resolved["class_names"]),
            "image": {
                "shape": list(resolved["image_shape"]),
                "dtype": "uint8",
                "channels": "red, green, blue",
            },
            "normalization": requested["normalization"],
            "statistics": resolved["statistics"],
            "run": {
                "dataset": requested["dataset"],
                "model": requested["model"],
                "weights": resolved["weights"],
                "seed": requested["seed"],
                "precision": resolved["precision"],
                "kept_epoch": result["kept_epoch"],
                "data_fingerprint": config["data_fingerprint"],
            },
        }
    except (LookupError, TypeError) as error:
        raise errors.UsageError(
            f"{run_dir} was not written by this version: config.json or result.json "
            f"lacks {errors.one_line(error)}"
        ) from error


def append_to_archive(path: pathlib.Path, metadata: dict[str, Any]) -> None:
    """Adds the metadata to a zip archive, or appends an archive to another file."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MEMBER, to_json(metadata))


def read_from_archive(path: pathlib.Path) -> dict[str, Any] | None:
    """Returns the metadata inside a `.keras` or `.tflite` file, None if it has none.

    Raises:
        UsageError: If the file is no archive or its metadata is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if MEMBER not in archive.namelist():
                return None
            metadata = json.loads(archive.read(MEMBER))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise errors.UsageError(
            f"can't read {path}: {errors.one_line(error)}"
        ) from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise errors.UsageError(f"{MEMBER} in {path} is not of format {FORMAT}")
    return metadata


def to_json(metadata: dict[str, Any]) -> str:
    """Returns the metadata as indented JSON."""
    return json.dumps(metadata, indent=2, allow_nan=False) + "\n"
