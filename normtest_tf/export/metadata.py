"""What an export says about itself: class names, statistics, origin.

In a run's folder this is in `config.json` and `result.json`; an export stores it as
`normtest_tf.json`, or in an ONNX file's properties; see docs/export.md.
"""

from __future__ import annotations

import json
import os
import pathlib
import zipfile
from typing import Any

import msgspec

from normtest_tf import __version__, datasets, errors
from normtest_tf.runs import ConfigRecord, ResultRecord, RunFolder
from normtest_tf.runs.folder import LAYOUT

# What an exported model can compute from an image.
LOGITS = "logits"
PROBABILITIES = "probabilities"
FEATURES = "features"

METADATA_FORMAT = 1
FILE_NAME = "normtest_tf.json"
REMEDY = "copy it again, or train or export again with --overwrite"


def describe_run(folder: RunFolder, output: str) -> dict[str, Any]:
    """Returns the metadata of a finished run's model.

    Args:
        folder: The run's folder.
        output: What the model computes from an image: `logits`, `probabilities` or
            `features`.

    Returns:
        Values that can be written as JSON. They contain no paths.

    Raises:
        UsageError: If the folder does not hold a finished run.
    """
    if not folder.is_finished():
        raise errors.UsageError(
            f"{folder} holds no finished run. Pass the folder of one: {LAYOUT}"
        )
    record, result = ConfigRecord.read(folder), ResultRecord.read(folder)
    requested = record.requested
    resolved = msgspec.json.decode(msgspec.json.encode(record.resolved))
    shift = requested["shift"]
    return {
        "format": METADATA_FORMAT,
        "written_by": f"normtest_tf {__version__}",
        "output": output,
        "class_names": resolved["class_names"],
        "image": {
            "shape": resolved["image_shape"],
            "dtype": "uint8",
            "channels": "red, green, blue",
            "resize": requested.get("resize") or datasets.RESIZES[0],
            # Done to the images before the model gets them.
            **({} if shift == datasets.NO_SHIFT else {"shift": shift}),
        },
        "normalization": requested["normalization"],
        "statistics": resolved["statistics"],
        "run": {
            "dataset": requested["dataset"],
            "model": requested["model"],
            "weights": resolved["weights"],
            "seed": requested["seed"],
            "precision": resolved["precision"],
            "kept_epoch": result.kept_epoch,
            "data_fingerprint": record.data_fingerprint,
        },
    }


def find(path: pathlib.Path) -> dict[str, Any]:
    """Finds the metadata of a run's folder, its model or an export of it."""
    if os.path.isdir(path):  # `Path.is_dir` would raise.
        return describe_run(RunFolder(path), LOGITS)
    if path.suffix != ".keras":
        raise errors.UsageError(
            f"--model takes a .keras file or a run's folder. Received: {path}"
        )
    if inside := read_from_archive(path):
        return inside
    if RunFolder(path.parent).is_finished():
        return describe_run(RunFolder(path.parent), LOGITS)
    raise errors.UsageError(
        f"{path} does not say what its classes are and how its images were prepared. "
        "Pass the run's folder, or a file written by `python -m experiments.export`"
    )


def append_to_archive(path: pathlib.Path, metadata: dict[str, Any]) -> None:
    """Adds the metadata to a zip archive, or appends an archive to another file."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE_NAME, json.dumps(metadata, indent=2, allow_nan=False))


def read_from_archive(path: pathlib.Path) -> dict[str, Any] | None:
    """Returns the metadata inside a `.keras` or `.tflite` file, None if it has none."""
    try:
        with zipfile.ZipFile(path) as archive:
            if FILE_NAME not in archive.namelist():
                return None
            metadata = dict(json.loads(archive.read(FILE_NAME)))
        if metadata.get("format") != METADATA_FORMAT:
            raise ValueError(f"its {FILE_NAME} is not of format {METADATA_FORMAT}")
    except Exception as error:  # Whatever is wrong with the archive or the JSON.
        raise errors.unreadable(path, error, REMEDY) from error
    return metadata
