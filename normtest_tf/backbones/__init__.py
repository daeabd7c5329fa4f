"""The networks, by name on the command line and as functions in code.

`ResNet18` and the others have the signature of Keras Applications and take RGB
images that are already normalised; they are imported when first asked for, so
that importing this package does not import Keras.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable
from typing import TYPE_CHECKING

from normtest_tf import errors
from normtest_tf.backbones.registry import ARCHITECTURES, Architecture, Pretraining, get
from normtest_tf.backbones.weights.sources import Source, resolve

if TYPE_CHECKING:
    import keras

    from normtest_tf.backbones.densenet import (
        DenseNet121,
        DenseNet161,
        DenseNet169,
        DenseNet201,
    )
    from normtest_tf.backbones.resnet import (
        CifarResNet8,
        ResNet18,
        ResNet34,
        ResNet50,
        ResNet101,
        ResNet152,
    )

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "CifarResNet8",
    "DenseNet121",
    "DenseNet161",
    "DenseNet169",
    "DenseNet201",
    "Pretraining",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "Source",
    "build",
    "get",
    "resolve",
]


def __getattr__(name: str) -> Callable[..., keras.Model]:
    """Imports a network's function when it is first asked for."""
    for entry in ARCHITECTURES.values():
        if entry.builder == name and entry.family != "keras_applications":
            return getattr(_family(entry.family), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _family(name: str) -> types.ModuleType:
    """Imports the module of one family of networks."""
    return importlib.import_module(f"normtest_tf.backbones.{name}")


def build(
    source: Source, input_shape: tuple[int, int, int]
) -> tuple[keras.Model, list[str]]:
    """Builds any network of the registry as a feature extractor.

    Args:
        source: From `resolve`: which network, and where its weights come from.
        input_shape: Height, width and 3.

    Returns:
        The model, from normalised images `[n, height, width, 3]` to pooled
        features `[n, features]`, and sentences on what was left out of a file.

    Raises:
        UsageError: If the images are too small for the network, or the weights
            can't be had or used.
    """
    entry = get(source.architecture)
    if min(input_shape[:2]) < entry.min_size:
        raise errors.UsageError(
            f"{entry.name} needs images of at least {entry.min_size} pixels a side. "
            f"Received: {input_shape[0]}x{input_shape[1]}; choose another "
            "--model, or a folder of images with a larger --image_size"
        )
    family = _family(entry.family)
    if entry.family == "keras_applications":
        return family.build(source, input_shape)
    from normtest_tf.backbones.weights import sources

    model = getattr(family, entry.builder)(
        include_top=False, weights=None, input_shape=input_shape, pooling="avg"
    )
    return model, sources.load(model, source)
