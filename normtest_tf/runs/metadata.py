"""What a model says about itself: class names, statistics, origin, accuracy.

A run's model and its exports store it as `normtest_tf.json`, or in an ONNX file's
properties; see docs/export.md.
"""

from __future__ import annotations

import json
import os
import pathlib
import zipfile
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from normtest_tf import __version__, datasets, errors
from normtest_tf.normalization import ChannelStatistics
from normtest_tf.runs.folder import FINAL, LAYOUT, RULES, RunFolder
from normtest_tf.runs.record import ConfigRecord, ResultRecord

if TYPE_CHECKING:
    from normtest_tf.backbones import PretrainedNetwork

# What an exported model can compute from an image.
LOGITS = "logits"
PROBABILITIES = "probabilities"
FEATURES = "features"

METADATA_FORMAT = 1
FILE_NAME = "normtest_tf.json"
_Statistics = ChannelStatistics | None
REMEDY = "copy it again, or train or export again with --overwrite"


def describe_run(folder: RunFolder, output: str = LOGITS) -> dict[str, Any]:
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
    rule = RULES[record.requested.get("keep", FINAL.name)]
    accuracy = result.test_accuracy(rule)
    return describe(record, result.kept_epoch, accuracy) | {"output": output}


def describe(
    record: ConfigRecord, kept_epoch: int, accuracy: float | None
) -> dict[str, Any]:
    """Returns the metadata of a run's model, of the epoch whose weights it has."""
    requested, shift = record.requested, record.requested["shift"]
    resolved = msgspec.json.decode(msgspec.json.encode(record.resolved))
    return {
        "format": METADATA_FORMAT,
        "written_by": f"normtest_tf {__version__}",
        "output": LOGITS,
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
        "pretraining": resolved["pretraining"],
        "run": {
            "dataset": requested["dataset"],
            "model": requested["model"],
            "weights": resolved["weights"],
            "train": requested["train"],
            "epochs": requested["epochs"],
            "seed": requested["seed"],
            "precision": resolved["precision"],
            "keep": requested.get("keep", FINAL.name),
            "kept_epoch": kept_epoch,
            "train_images": resolved["train_examples"],
            "test_images": resolved["test_examples"],
            "test_accuracy": accuracy,
            "data_fingerprint": record.data_fingerprint,
        },
    }


def find(path: pathlib.Path) -> dict[str, Any]:
    """Finds the metadata of a run's folder, its model or an export of it."""
    is_folder = os.path.isdir(path)  # `Path.is_dir` would raise.
    if not is_folder and path.suffix != ".keras":
        raise errors.UsageError(
            "--model takes a run's folder, a .keras file or a folder written by "
            f"`python -m experiments.export`. Received: {path}"
        )
    if inside := read(path):
        return inside
    folder = RunFolder(path if is_folder else path.parent)
    # Version 0.2.0 wrote no metadata into models; any other file may be another run's.
    if is_folder or (path == folder.model and folder.is_finished()):
        return describe_run(folder)
    raise errors.UsageError(
        f"{path} does not say what its classes are and how its images were prepared. "
        "Pass the run's folder, or a file written by `python -m experiments.export`"
    )


def pretraining(metadata: dict[str, Any]) -> tuple[ChannelStatistics, str]:
    """Returns what a model's weights were pre-trained with, and its channel order."""
    if (found := metadata.get("pretraining")) is None:
        raise errors.UsageError(
            "exports of version 0.2.0 don't say what their weights were pre-trained "
            "with: pass the run's folder, or export it again"
        )
    constants = msgspec.convert(found["statistics"], ChannelStatistics)
    return constants, found["channel_order"]


def statistics_note(
    network: PretrainedNetwork, statistics: ChannelStatistics | None
) -> str | None:
    """Says which flags normalise as the run that weights come from did, if not these.

    None unless inputs are normalised with what the weights are assumed to be
    pre-trained with, and the weights are those of a run that had other constants.
    """
    path = network.path
    if path is None or statistics is None:
        return None
    if statistics != network.pretraining.statistics:
        return None
    try:
        found = find(path) if path.suffix == ".keras" else read(path.parent)
        there = msgspec.convert((found or {}).get("statistics"), _Statistics)
    except (errors.UsageError, msgspec.ValidationError):
        return None
    if there is None:
        return None
    theirs, ours = [there.mean, there.std], [statistics.mean, statistics.std]
    if np.allclose(theirs, ours, rtol=1e-4, atol=1e-5):  # Flags leave out digits.
        return None
    mean, std = (",".join(f"{x:.6g}" for x in xs) for xs in theirs)
    return (
        f"the run that {path} comes from normalised its inputs with mean {mean} and "
        f"std {std}; to do the same, pass --pretrain_mean={mean} --pretrain_std={std}"
    )


def to_json(metadata: dict[str, Any]) -> str:
    """Returns metadata as exports store it."""
    return json.dumps(metadata, indent=2, allow_nan=False)


def append_to_archive(path: pathlib.Path, metadata: dict[str, Any]) -> None:
    """Appends a zip archive with the metadata to a file."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FILE_NAME, to_json(metadata))


def read(path: pathlib.Path) -> dict[str, Any] | None:
    """Returns the metadata inside a folder or an archive, None if it has none."""
    try:
        file = (path if os.path.isdir(path) else zipfile.Path(path)) / FILE_NAME
        if not file.exists():
            return None
        metadata = dict(json.loads(file.read_bytes()))
        if metadata.get("format") != METADATA_FORMAT:
            raise ValueError(f"its {FILE_NAME} is not of format {METADATA_FORMAT}")
    except Exception as error:  # Whatever is wrong with the archive or the JSON.
        raise errors.unreadable(path, error, REMEDY) from error
    return metadata
