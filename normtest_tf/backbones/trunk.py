"""The trunk of a network: what is between its preprocessing and its classifier.

A run normalises images itself and has a head of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
import numpy as np

from normtest_tf import errors
from normtest_tf.normalization import ChannelStatistics

PREPROCESSING = ("Rescaling", "Normalization")
# What arithmetic on an input tensor becomes, such as `inputs / 127.5 - 1`.
_ARITHMETIC = ("Add", "Divide", "Multiply", "Subtract", "TrueDivide")
# May follow a classifier's last weights only before probabilities: otherwise they may
# belong to features.
_LOGITS = ("BatchNormalization", "GlobalAveragePooling2D", "PReLU")
_PROBABILITIES = ("softmax", "log_softmax", "logsoftmax", "sigmoid", "log_sigmoid")


def without_head(model: keras.Model) -> tuple[keras.KerasTensor, str | None]:
    """Finds what the classifier at a model's end takes.

    Returns:
        A tensor of the model, and the name of the layer that ends in classes. Without
        a classifier, these are the model's output and None.
    """
    return _without_head(model, probabilities=False)


def _without_head(
    model: keras.Model, *, probabilities: bool
) -> tuple[keras.KerasTensor, str | None]:
    """As `without_head`; the output may become probabilities outside of the model."""
    layer, x = _producer(model.outputs[0])
    pooled = False
    while _is_trailing(layer, x, probabilities):
        probabilities = probabilities or _makes_probabilities(layer)
        pooled = pooled or isinstance(layer, keras.layers.GlobalAveragePooling2D)
        layer, x = _producer(x)
    if isinstance(layer, keras.Model) and len(layer.inputs) == 1:
        inner, head = _without_head(layer, probabilities=probabilities)
        if head is None:
            return model.outputs[0], None
        return keras.Model(layer.inputs[0], inner, name=layer.name)(x), head
    if not _classifies(layer, pooled):
        return model.outputs[0], None
    before, y = _producer(x)
    while isinstance(before, keras.layers.Dropout):
        x = y
        before, y = _producer(x)
    return x, layer.name


def makes_probabilities(model: keras.Model) -> bool:
    """Tells whether the last layer of a model is a softmax or a sigmoid."""
    layer: keras.layers.Layer = model
    while isinstance(layer, keras.Model):
        layer, _ = _producer(layer.outputs[0])
    return _makes_probabilities(layer)


def _producer(
    tensor: keras.KerasTensor,
) -> tuple[keras.layers.Layer, keras.KerasTensor]:
    """Returns the layer that computes a tensor, and its first input.

    The layer of a model's input computes it from itself.
    """
    layer, node_index, _ = tensor._keras_history
    inputs = layer._inbound_nodes[node_index].input_tensors
    return layer, inputs[0] if inputs else tensor


def _is_trailing(
    layer: keras.layers.Layer, x: keras.KerasTensor, probabilities: bool
) -> bool:
    """Tells whether a layer may follow a classifier's last weights.

    It has one input, keeps the number of values, has no weights, and is none of those
    that normalise features.
    """
    kind = type(layer).__name__
    if probabilities and kind in _LOGITS:
        return True
    nodes = layer._inbound_nodes
    if any(len(node.input_tensors) != 1 for node in nodes) or "ormaliz" in kind:
        return False
    outputs = nodes[0].output_tensors
    keeps = len(outputs) == 1 and _values(outputs[0]) == _values(x)
    return keeps and not getattr(layer, "weights", None)


def _values(tensor: keras.KerasTensor) -> int | None:
    """Returns how many values of an example a tensor holds, None if this varies."""
    sides = tensor.shape[1:]
    return None if None in sides else math.prod(sides)


def _makes_probabilities(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer is a softmax or a sigmoid, or ends in one."""
    activation = getattr(layer, "activation", None)
    names = (type(layer).__name__, getattr(activation, "__name__", ""))
    return any(name.lower() in _PROBABILITIES for name in names)


def _classifies(layer: keras.layers.Layer, pooled: bool) -> bool:
    """Tells whether a layer is dense, or a 1x1 convolution of 1x1 pixels.

    Where its output is pooled, each may be of more pixels.
    """
    shape = layer.output.shape
    if isinstance(layer, keras.layers.Conv2D):
        return layer.kernel_size == (1, 1) and (pooled or shape[1:3] == (1, 1))
    return isinstance(layer, keras.layers.Dense) and (pooled or len(shape) == 2)


def preprocessing(model: keras.Model) -> list[str]:
    """Returns what a model of one input does to it before it has weights.

    These are the names, in quotes, of layers that scale or normalise and of
    arithmetic.
    """
    names: list[str] = []
    for operation in operations(model):
        kind = type(operation).__name__
        if kind in (*PREPROCESSING, *_ARITHMETIC):
            names.append(repr(operation.name))
        elif getattr(operation, "weights", None):
            break
    return names


def operations(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields what a model computes, in its order, within models inside it as well."""
    for operation in getattr(model, "operations", model.layers):
        if isinstance(operation, keras.Model):
            yield from operations(operation)
        else:
            yield operation


def without_preprocessing(model: keras.Model, first_layer: str) -> keras.Model:
    """Cuts off what a model does to its inputs before a layer of this name."""
    kept = model.get_layer(first_layer).input
    return keras.Model(kept, model.output, name=model.name)


def check_preprocessing(
    model: keras.Model, first_layer: str, statistics: ChannelStatistics
) -> None:
    """Checks what a model does to float pixels, 0 to 255, before a layer.

    Raises:
        UsageError: If it does not normalise them with these statistics, which were
            recorded for other weights.
    """
    preprocessing = keras.Model(model.input, model.get_layer(first_layer).input)
    sides = [side or 32 for side in model.input_shape[1:3]]
    pixels = np.stack([np.zeros((*sides, 3)), np.full((*sides, 3), 255.0)])
    found = np.array(preprocessing(pixels.astype("float32")), "float64")[:, 0, 0]
    mean, std = np.array(statistics.mean), np.array(statistics.std)
    if not np.allclose(found, [-mean / std, (1 - mean) / std], rtol=1e-3, atol=1e-3):
        raise errors.UsageError(
            f"the weights of {model.name} normalise black to {found[0].tolist()} and "
            f"white to {found[1].tolist()}, not with {statistics.source}; name other "
            "weights with --weights=PATH"
        )
