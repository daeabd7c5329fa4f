"""All networks and the tags of their pre-trained weights, by name."""

from __future__ import annotations

import csv
import pathlib
from typing import Any

from normtest_tf import errors
from normtest_tf.backbones import keras_applications
from normtest_tf.backbones.architecture import CIFAR10, HALF, Architecture, Pretraining
from normtest_tf.normalization import IMAGENET, ChannelStatistics

# Written by `python -m experiments.networks --from_timm`.
TIMM_TAGS = pathlib.Path(__file__).with_name("timm_tags.csv")
LIST_MODELS = "See `python -m experiments.train --list_models` for all models"
OR_A_FILE = f"{LIST_MODELS}, or name a file: PATH.keras"


def known_statistics(mean: str, std: str) -> ChannelStatistics:
    """Returns the statistics with these constants: three numbers each, with spaces."""
    constants = [tuple(map(float, text.split())) for text in (mean, std)]
    for known in (IMAGENET, HALF):
        if constants == [known.mean, known.std]:
            return known
    raise ValueError(f"unknown constants. Received: mean={mean}, std={std}")


def _read_timm_tags() -> dict[str, dict[str, Pretraining]]:
    """Returns the weights that timm publishes, by network and by tag."""
    table: dict[str, dict[str, Pretraining]] = {}
    with TIMM_TAGS.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            table.setdefault(row["model"], {})[row["tag"]] = Pretraining(
                origin=f"hf:{row['repository']}",
                trained_on=row["trained_on"],
                statistics=known_statistics(row["mean"], row["std"]),
                licence=row["licence"],
                url=row["url"],
                input_size=int(row["input_size"]),
            )
    return table


_TIMM = _read_timm_tags()


def _timms(function: str, default: str, **options: Any) -> Architecture:  # noqa: ANN401  (fields)
    """Describes one of timm's networks, with the default tag first."""
    name = function.lower()
    module = "densenet" if name.startswith("densenet") else "resnet"
    builder = f"normtest_tf.backbones.{module}:{function}"
    tags = {default: _TIMM[name][default], **_TIMM[name]}
    return Architecture(name, builder, tags, **options)


_DENSE: dict[str, Any] = {"head_bias": "zeros", "classifier": "classifier"}
# The PyTorch study's networks keep the timm defaults of its time; the others use timm's
# current defaults.
_OWN = (
    _timms("ResNet18", "tv_in1k"),
    _timms("ResNet34", "a1_in1k"),
    _timms("ResNet50", "a1_in1k"),
    _timms("ResNet101", "a1h_in1k"),
    _timms("ResNet152", "a1h_in1k"),
    _timms("DenseNet121", "ra_in1k", **_DENSE),
    _timms("DenseNet161", "tv_in1k", **_DENSE),
    _timms("DenseNet169", "tv_in1k", **_DENSE),
    _timms("DenseNet201", "tv_in1k", **_DENSE),
    Architecture(
        "cifar_resnet8",
        "normtest_tf.backbones.resnet:CifarResNet8",
        {
            "cifar10": Pretraining(
                origin="package:cifar_resnet8.cifar10.safetensors",
                trained_on="CIFAR10",
                statistics=CIFAR10,
                licence="mit",
            )
        },
        min_size=8,
    ),
)

ARCHITECTURES: dict[str, Architecture] = {
    entry.name: entry for entry in (*_OWN, *keras_applications.NETWORKS)
}


def get(name: str) -> Architecture:
    """Looks up a network.

    Args:
        name: A key of `ARCHITECTURES`.

    Returns:
        Its description, which also builds it.

    Raises:
        UsageError: If there is no network of that name.
    """
    if name not in ARCHITECTURES:
        raise errors.unknown_name("model", name, list(ARCHITECTURES), OR_A_FILE)
    return ARCHITECTURES[name]
