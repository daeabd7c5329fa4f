"""A run's model for PyTorch: a folder that `timm.create_model` loads.

Its files are those of timm's repositories on the Hugging Face Hub: the weights under
timm's names, class head included, and `config.json`, with how images are normalised and
what the logits stand for. Importing this module does not import Keras.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

from normtest_tf import backbones, errors, text
from normtest_tf.backbones import weights
from normtest_tf.normalization import ChannelStatistics, normalization_layer
from normtest_tf.runs.metadata import LOGITS
from normtest_tf.system import files

if TYPE_CHECKING:
    import keras

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
# timm's names of ways to resize.
_CROP_MODES = {"squash": "squash", "crop": "center", "pad": "border"}


def check(description: dict[str, Any]) -> None:
    """Raises `UsageError` if timm's layout can't express a run's model."""
    if description["output"] != LOGITS:
        raise errors.UsageError(
            f"--format=timm has {LOGITS} only; omit --{description['output']}, or "
            "choose another --format"
        )
    name = description["run"]["model"]
    names = [key for key, own in backbones.ARCHITECTURES.items() if own.is_timms]
    if name not in names:
        raise errors.UsageError(
            f"--format=timm can't express {name}, which timm does not have; choose "
            f"another --format. Allowed: runs of {', '.join(names)}"
        )
    if shift := description["image"].get("shift"):
        raise errors.UsageError(
            f"--format=timm can't express --shift={shift}, which timm's transforms "
            "would leave out; choose another --format"
        )
    if description["statistics"] is None:
        raise errors.UsageError(
            "--format=timm can't express the normalization "
            f"{description['normalization']!r}: it has no constant mean and std, and "
            "timm takes no others; choose another --format"
        )


def config(description: dict[str, Any], first_convolution: str) -> dict[str, Any]:
    """Returns what `config.json` holds, by timm's keys."""
    name, classes = description["run"]["model"], description["class_names"]
    height, width, channels = description["image"]["shape"]
    return {
        "architecture": name,
        "num_classes": len(classes),
        "pretrained_cfg": {
            "input_size": [channels, height, width],
            "fixed_input_size": False,
            # How `--image_size` and `predict` resize.
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": _CROP_MODES[description["image"]["resize"]],
            "mean": list(description["statistics"]["mean"]),
            "std": list(description["statistics"]["std"]),
            "num_classes": len(classes),
            "label_names": list(classes),
            # What timm replaces for another number of channels or classes.
            "first_conv": first_convolution,
            "classifier": backbones.get(name).classifier,
        },
    }


def load(path: pathlib.Path) -> keras.Model:
    """Builds a model of raw images from the files alone: a new network loads them."""
    import keras

    values = files.read_json(path / CONFIG)
    constants = values["pretrained_cfg"]
    channels, height, width = constants["input_size"]
    shape = (height, width, channels)
    network = backbones.get(values["architecture"]).build(
        weights=None,
        input_shape=shape,
        classes=values["num_classes"],
        classifier_activation=None,
    )
    weights.load_file(network, path / WEIGHTS, text.ignore)
    statistics = ChannelStatistics(constants["mean"], constants["std"], "fixed", CONFIG)
    inputs = keras.Input(shape, dtype="uint8", name="image")
    return keras.Model(inputs, network(normalization_layer(statistics, shape)(inputs)))
