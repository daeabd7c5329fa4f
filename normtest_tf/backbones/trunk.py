"""The trunk of a network: what is between its preprocessing and its classifier.

A run normalises images itself and has a head of its own.
"""

from __future__ import annotations

import math

import keras

from normtest_tf.backbones import layers

PREPROCESSING = ("Rescaling", "Normalization")
# What arithmetic on an input tensor becomes, such as `inputs / 127.5 - 1`.
_ARITHMETIC = ("Add", "Divide", "Multiply", "Subtract", "TrueDivide")
# May follow a classifier's last weights only before probabilities: otherwise they may
# belong to features.
_LOGITS = ("BatchNormalization", "GlobalAveragePooling2D", "PReLU")
_PROBABILITIES = ("softmax", "log_softmax", "logsoftmax", "sigmoid", "log_sigmoid")


def without_head(
    model: keras.Model, *, probabilities: bool = False
) -> tuple[keras.KerasTensor, str | None]:
    """Finds what the classifier at a model's end takes, and its layer's name.

    Without a classifier, these are the model's output and None. `probabilities` tells
    whether the output becomes probabilities outside of the model.
    """
    layer, x = _producer(model.outputs[0])
    pooled = False
    while _is_trailing(layer, x, probabilities):
        probabilities = probabilities or _makes_probabilities(layer)
        pooled = pooled or isinstance(layer, keras.layers.GlobalAveragePooling2D)
        layer, x = _producer(x)
    if isinstance(layer, keras.Model) and len(layer.inputs) == 1:
        inner, head = without_head(layer, probabilities=probabilities)
        if head is None:
            return model.outputs[0], None
        return keras.Model(layer.inputs[0], inner, name=layer.name)(x), head
    if not _classifies(layer, pooled):
        return model.outputs[0], None
    while isinstance(_producer(x)[0], keras.layers.Dropout):
        x = _producer(x)[1]
    return x, layer.name


def _producer(
    tensor: keras.KerasTensor,
) -> tuple[keras.layers.Layer, keras.KerasTensor]:
    """Returns the layer that computes a tensor, and its first input, or the tensor."""
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

    def values(tensor: keras.KerasTensor) -> int | None:  # Of an example.
        sides = tensor.shape[1:]
        return None if None in sides else math.prod(sides)

    kind = type(layer).__name__
    if probabilities and kind in _LOGITS:
        return True
    nodes = layer._inbound_nodes
    if any(len(node.input_tensors) != 1 for node in nodes) or "ormaliz" in kind:
        return False
    outputs = nodes[0].output_tensors
    keeps = len(outputs) == 1 and values(outputs[0]) == values(x)
    return keeps and not getattr(layer, "weights", None)


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
    """Returns the quoted names of what scales a model's input before it has weights."""
    names: list[str] = []
    for operation in layers.leaves(model, "operations"):
        if type(operation).__name__ in (*PREPROCESSING, *_ARITHMETIC):
            names.append(repr(operation.name))
        elif getattr(operation, "weights", None):
            break
    return names
