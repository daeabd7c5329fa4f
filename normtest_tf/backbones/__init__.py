"""The networks, and where their pre-trained weights come from.

    resolve(model, weights)     what --model and --weights mean: a PretrainedNetwork
    slug(model)                 a model's name in result paths
    get(model), ARCHITECTURES   the networks by their names on the command line
    ResNet18, DenseNet121, ...  our own networks as functions, with the signature of
                                Keras Applications; they take normalised RGB images

    registry           all networks and their pre-trained weights, by name
    pretrained         a network and the weights it starts from; our own as functions
    resnet, densenet   our own networks, built from layers
    own_models         the user's own, in .keras files
    weights            weights files: finding, reading and writing them
    trunk              what remains of a network without preprocessing and classifier

Importing this package does not import Keras: names and tags can be checked and listed
instantly, and a network's function is imported when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from normtest_tf.backbones.pretrained import PretrainedNetwork, resolve
from normtest_tf.backbones.registry import (
    ARCHITECTURES,
    Architecture,
    Pretraining,
    get,
    names_file,
    slug,
)

if TYPE_CHECKING:
    import keras


def __getattr__(name: str) -> Callable[..., keras.Model]:
    """Imports the function of one of our own networks when it is first used."""
    for architecture in ARCHITECTURES.values():
        if architecture.is_own and architecture.builder.endswith(f":{name}"):
            return architecture.load_builder()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "CifarResNet8",
    "CifarResNet8GN",
    "DenseNet121",
    "DenseNet161",
    "DenseNet169",
    "DenseNet201",
    "PretrainedNetwork",
    "Pretraining",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "get",
    "names_file",
    "resolve",
    "slug",
]
