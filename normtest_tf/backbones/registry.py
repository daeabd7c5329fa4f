"""All networks and the tags of their pre-trained weights, by name.

Importing this module does not import Keras, so a command line can check or list names
instantly.
"""

from __future__ import annotations

import csv
import pathlib

from normtest_tf import errors
from normtest_tf.backbones import keras_applications
from normtest_tf.backbones.architecture import CIFAR10, HALF, Architecture, Pretraining
from normtest_tf.normalization import IMAGENET, ChannelStatistics

# Written by `python -m experiments.networks --from_timm`.
TIMM_TAGS = pathlib.Path(__file__).with_name("timm_tags.csv")
LIST_MODELS = "See `python -m experiments.train --list_models` for all models"
OR_A_FILE = f"{LIST_MODELS}, or name a file: PATH.keras"


def known_statistics(mean: str, std: str) -> ChannelStatistics:
    """Returns the statistics of known origin with these constants.

    Args:
        mean: Three decimal numbers separated by spaces, for pixels from 0 to 1.
        std: Likewise.

    Raises:
        ValueError: If their origin is unknown.
    """
    for known in (IMAGENET, HALF):
        if _floats(mean) == known.mean and _floats(std) == known.std:
            return known
    raise ValueError(f"unknown constants. Received: mean={mean}, std={std}")


def _floats(text: str) -> tuple[float, ...]:
    return tuple(float(value) for value in text.split())


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


def _timm_tags(name: str, default: str) -> dict[str, Pretraining]:
    """Returns timm's weights of a network, the default first."""
    return {default: _TIMM[name][default], **_TIMM[name]}


def _resnet(depth: int, default: str) -> Architecture:
    """Describes one of timm's ResNets."""
    name = f"resnet{depth}"
    builder = f"normtest_tf.backbones.resnet:ResNet{depth}"
    return Architecture(name, builder, _timm_tags(name, default))


def _densenet(depth: int, default: str) -> Architecture:
    """Describes one of timm's DenseNets."""
    name = f"densenet{depth}"
    builder = f"normtest_tf.backbones.densenet:DenseNet{depth}"
    tags = _timm_tags(name, default)
    return Architecture(name, builder, tags, head_bias="zeros", classifier="classifier")


# The PyTorch study's networks keep the timm defaults of its time; the others use timm's
# current defaults.
_OWN = (
    _resnet(18, default="tv_in1k"),
    _resnet(34, default="a1_in1k"),
    _resnet(50, default="a1_in1k"),
    _resnet(101, default="a1h_in1k"),
    _resnet(152, default="a1h_in1k"),
    _densenet(121, default="ra_in1k"),
    _densenet(161, default="tv_in1k"),
    _densenet(169, default="tv_in1k"),
    _densenet(201, default="tv_in1k"),
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


def own(function: str) -> Architecture:
    """Looks up one of our own networks by the name of its function."""
    return next(one for one in _OWN if one.builder.endswith(f":{function}"))
