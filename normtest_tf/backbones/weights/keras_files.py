"""The weights of a network inside a `.keras` file, such as a former run's.

The file is loaded in Keras's safe mode, so that no code in it is run. The network may
be the whole model, a model within it, or the first layers of a classifier.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

import keras
import numpy as np

from normtest_tf import errors
from normtest_tf.backbones.weights import keras_archive, mismatch
from normtest_tf.text import Notify

Layers = dict[str, keras.layers.Layer]  # Those that have weights, by their names.
_NUMBER = re.compile(r"_(\d+)$")


def load(model: keras.Model, path: pathlib.Path, notify: Notify) -> None:
    """Loads the network inside a `.keras` file.

    Args:
        model: The model; its variables are overwritten.
        path: The file. Its dense layers that the model lacks are skipped, and so is
            all that is outside of the network.
        notify: Called with a message if a classifier was skipped.

    Raises:
        UsageError: If the file can't be loaded in safe mode, or if it does not hold
            this network exactly once.
    """
    saved = keras_archive.load(path, keras_archive.FOR_WEIGHTS)
    expected = _layers(model)
    source = _source(path, saved, expected)
    received = _layers(source)
    values = [
        _weights(path, name, received[name], layer) for name, layer in expected.items()
    ]
    for layer, value in zip(expected.values(), values, strict=True):
        layer.set_weights(value)
    skipped = {**_extra(source, expected), **_heads(saved, source)}
    if skipped:
        names = " and ".join(repr(layer.name) for layer in skipped.values())
        notify(f"skipped the classifier {names} in {path.name}")


def _layers(model: keras.Model) -> Layers:
    """Returns the layers that have weights, but for the constants of preprocessing.

    Names that Keras has made up, such as `conv2d_7`, are numbered from 0: they depend
    on how many models a process has built before.
    """
    made_up: dict[str, list[keras.layers.Layer]] = {}
    layers: Layers = {}
    for layer in model.layers:
        if not layer.weights or isinstance(layer, keras.layers.Normalization):
            continue
        kind = _NUMBER.sub("", layer.name)
        if kind.replace("_", "") == type(layer).__name__.lower():
            made_up.setdefault(kind, []).append(layer)
        else:
            layers[layer.name] = layer
    for kind, alike in made_up.items():
        for position, layer in enumerate(sorted(alike, key=_number)):
            layers[f"{kind}_{position}"] = layer
    return layers


def _number(layer: keras.layers.Layer) -> int:
    """Returns the number at the end of a layer's name, 0 if there is none."""
    found = _NUMBER.search(layer.name)
    return int(found[1]) if found else 0


def _source(path: pathlib.Path, saved: keras.Model, expected: Layers) -> keras.Model:
    """Returns the model, in a saved one, that is the network."""
    candidates = list({id(one): one for one in _models(saved)}.values())
    fitting = [one for one in candidates if _fits(one, expected)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(repr(one.name) for one in fitting)
        raise errors.UsageError(
            f"{path} holds this network {len(fitting)} times, in the models {names}; "
            "save one of them alone"
        )
    # The one that has most in common gives the most helpful message.
    nearest = max(
        candidates, key=lambda one: len(_layers(one).keys() & expected.keys())
    )
    received = _layers(nearest).keys() - _extra(nearest, expected).keys()
    mismatch.check_names(path, "layer", received, expected)
    raise errors.UsageError(f"{path} does not hold this network")


def _models(model: keras.Model) -> Iterator[keras.Model]:
    """Yields a model and those within it."""
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _models(layer)


def _fits(model: keras.Model, expected: Layers) -> bool:
    """Tells whether a model has the network's layers, and otherwise a classifier."""
    received = _layers(model)
    return received.keys() - _extra(model, expected).keys() == expected.keys()


def _extra(model: keras.Model, expected: Layers) -> Layers:
    """Returns the layers of a classifier, on top of the network in the same model."""
    received = _layers(model)
    return {
        name: layer
        for name, layer in received.items()
        if name not in expected and _classifies(layer)
    }


def _classifies(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer is dense, or the 1x1 convolution that does the same."""
    if isinstance(layer, keras.layers.Conv2D):
        return layer.kernel_size == (1, 1) and layer.use_bias
    return isinstance(layer, keras.layers.Dense)


def _heads(saved: keras.Model, source: keras.Model) -> Layers:
    """Returns the dense layers outside of the network.

    The one that a run flips channels with has no bias, unlike a classifier.
    """
    within = {id(one) for one in _models(source)}
    return {
        layer.name: layer
        for one in _models(saved)
        if id(one) not in within
        for layer in one.layers
        if isinstance(layer, keras.layers.Dense) and layer.use_bias
    }


def _weights(
    path: pathlib.Path,
    name: str,
    received: keras.layers.Layer,
    expected: keras.layers.Layer,
) -> list[np.ndarray]:
    """Returns the weights of a layer, checked."""
    values = received.get_weights()
    wanted = [tuple(value.shape) for value in expected.weights]
    if len(values) != len(wanted):
        raise errors.UsageError(
            f"{path}: layer {name!r} has {len(values)} weights, expected "
            f"{len(wanted)}; {mismatch.ADVICE}"
        )
    for index, (value, shape) in enumerate(zip(values, wanted, strict=True)):
        what = f"weight {index} of layer {name!r}"
        mismatch.check_shape(path, what, value.shape, shape)
        mismatch.check_finite(path, what, value)
    return values
