"""A run's model for PyTorch: a folder that timm loads.

Its files are those of timm's repositories on the Hugging Face Hub: the weights under
timm's names, class head included, and `config.json`, which says how images are
normalised and what the logits stand for. `timm.create_model("local-dir:FOLDER",
pretrained=True)` builds the network from it.

Importing this module does not import Keras.
"""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from normtest_tf import backbones, errors, text
from normtest_tf.backbones import weights
from normtest_tf.system import files

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
# timm's names of ways to resize.
_CROP_MODES = {"squash": "squash", "crop": "center", "pad": "border"}


def check(description: dict[str, Any]) -> None:
    """Raises `UsageError` if timm's layout can't express a run's model."""
    name = description["run"]["model"]
    names = [key for key, own in backbones.ARCHITECTURES.items() if own.is_timms]
    if name not in names:
        raise errors.UsageError(
            f"--format=timm can't express {name}, which timm does not have; choose "
            f"another --format. Allowed: runs of {', '.join(names)}"
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


def remark(description: dict[str, Any]) -> str | None:
    """Says what a user of the folder has to mind, if anything."""
    if description["image"]["resize"] != "pad":
        return None
    return (
        "the run padded images with black and timm's transforms pad with the mean; pad "
        "images yourself before you pass them to timm"
    )


def outputs(path: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """Computes logits from the files alone, without PyTorch.

    A new network is built in Keras, and loads the weights as it would load timm's own.
    """
    values = files.read_json(path / CONFIG)
    model = backbones.get(values["architecture"]).build(
        weights=None,
        input_shape=images.shape[1:],
        classes=values["num_classes"],
        classifier_activation=None,
    )
    weights.load_file(model, path / WEIGHTS, text.ignore)
    inputs = normalise(images, values["pretrained_cfg"])
    return model.predict(inputs, batch_size=100, verbose=0)


def normalise(images: np.ndarray, constants: dict[str, Any]) -> np.ndarray:
    """Normalises uint8 images as timm does, in float32."""
    pixels = (images / 255 - constants["mean"]) / constants["std"]
    return pixels.astype(np.float32)
