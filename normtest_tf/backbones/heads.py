"""Where the classifier of a saved network begins."""

from __future__ import annotations

import math

import keras

# What may come behind a classifier's last layer with weights, as layers. Of
# operations, such as `keras.ops.softmax`, all of one tensor may, but for these.
_TRAILING = (
    keras.layers.Activation,
    keras.layers.ActivityRegularization,
    keras.layers.Dropout,
    keras.layers.ELU,
    keras.layers.Flatten,
    keras.layers.Identity,
    keras.layers.LeakyReLU,
    keras.layers.ReLU,
    keras.layers.Rescaling,
    keras.layers.Reshape,
    keras.layers.Softmax,
)
_OF_FEATURES = ("Normalize",)
# Only before probabilities: otherwise they may belong to features.
_TRAILING_LOGITS = (
    keras.layers.BatchNormalization,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.PReLU,
)
_PROBABILITIES = {"softmax", "log_softmax", "logsoftmax", "sigmoid", "log_sigmoid"}


def without(model: keras.Model) -> tuple[keras.KerasTensor, str | None]:
    """Finds what a model's classifier takes.

    Args:
        model: Has one output.

    Returns:
        A tensor of the model, and the name of the layer that ends in classes. Without
        a classifier at its end, these are the model's output and None.
    """
    return _without(model, logits=False)


def makes_probabilities(model: keras.Model) -> bool:
    """Tells whether the last layer of a model is a softmax or a sigmoid."""
    layer, _ = _producer(model.outputs[0])
    while isinstance(layer, keras.Model):
        layer, _ = _producer(layer.outputs[0])
    return _is_probabilities(layer)


def _without(
    model: keras.Model, *, logits: bool
) -> tuple[keras.KerasTensor, str | None]:
    """As `without`; with `logits`, the output becomes probabilities."""
    layer, x = _producer(model.outputs[0])
    pooled = False
    while _is_trailing(layer, x, logits):
        logits = logits or _is_probabilities(layer)
        pooled = pooled or isinstance(layer, keras.layers.GlobalAveragePooling2D)
        layer, x = _producer(x)
    if isinstance(layer, keras.Model) and len(layer.inputs) == 1:
        inner, head = _without(layer, logits=logits)
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


def _producer(
    tensor: keras.KerasTensor,
) -> tuple[keras.layers.Layer, keras.KerasTensor]:
    """Returns the layer that computes a tensor, and what it computes it from.

    The layer of an input computes it from itself; of several inputs the first counts.
    """
    layer, node_index, _ = tensor._keras_history
    inputs = layer._inbound_nodes[node_index].input_tensors
    return layer, inputs[0] if inputs else tensor


def _is_trailing(layer: keras.layers.Layer, x: keras.KerasTensor, logits: bool) -> bool:
    """Tells whether a layer may come behind a classifier's last one with weights."""
    if isinstance(layer, keras.layers.Layer):
        kinds = (*_TRAILING, *_TRAILING_LOGITS) if logits else _TRAILING
        return isinstance(layer, kinds)
    sole = all(len(node.input_tensors) == 1 for node in layer._inbound_nodes)
    if not sole or type(layer).__name__ in _OF_FEATURES:
        return False
    outputs = layer._inbound_nodes[0].output_tensors
    return len(outputs) == 1 and _values(outputs[0]) == _values(x)


def _values(tensor: keras.KerasTensor) -> int | None:
    """Returns how many values of an example a tensor holds, None if this varies."""
    sides = tensor.shape[1:]
    return None if None in sides else math.prod(sides)


def _is_probabilities(layer: keras.layers.Layer) -> bool:
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
