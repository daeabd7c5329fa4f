"""Moving a change of normalization into a network's first convolution.

Inputs under two settings are affine functions of each other, channel by channel:
`wanted = scale * given + shift`. A convolution of `wanted` inputs is a convolution of
`given` ones with its kernel multiplied by `scale`, plus a constant per filter that
comes from `shift`. So a network can be rewritten to take `given` inputs and compute
what it computed of `wanted` ones. This is exact except at the border, where the
convolution's zero padding stands for another colour than before.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from normtest_tf import errors
from normtest_tf.normalization.statistics import ChannelStatistics, change

# What may come before the first convolution: layers that copy pixels or add zeros.
_TRANSPARENT = (keras.layers.Identity, keras.layers.ZeroPadding2D)


def fold(
    network: keras.Model,
    given: ChannelStatistics,
    wanted: ChannelStatistics,
    channel_order: str = "rgb",
) -> None:
    """Makes a network compute of `given` inputs what it computed of `wanted` ones.

    The constant that remains is added to the first convolution's bias; without a bias,
    it is subtracted from the running mean of the batch normalization that follows (in
    training, the batch's own mean has taken it up already). Where neither takes it,
    nothing is changed.
    """
    convolution, following = first_convolution(network)
    scale, shift = change(given, wanted)
    if channel_order == "bgr":
        scale, shift = scale[::-1], shift[::-1]
    kernel = np.array(convolution.kernel, "float64")
    constant = np.einsum("hwio,i->o", kernel, shift)
    target, sign = _place_of_constant(convolution, following)
    convolution.kernel.assign(kernel * scale[:, np.newaxis])
    target.assign(np.array(target, "float64") + sign * constant)


def first_convolution(
    network: keras.Model,
) -> tuple[keras.layers.Conv2D, list[keras.layers.Layer]]:
    """Returns a network's first layer, a convolution, and what takes its outputs."""
    tensor = network.inputs[0]
    while len(taking := _takers(network, tensor)) == 1:
        ((layer, output),) = taking
        if isinstance(layer, keras.Model):
            return first_convolution(layer)
        if type(layer) is keras.layers.Conv2D and layer.groups == 1:
            return layer, [layer for layer, _ in _takers(network, output)]
        if not isinstance(layer, _TRANSPARENT):
            break
        tensor = output
    raise errors.UsageError(
        f"{network.name} does not begin with a convolution, so a change of the inputs' "
        "normalization can't be moved into it. Choose a setting other than "
        "finetune_folded"
    )


def _takers(
    network: keras.Model, tensor: keras.KerasTensor
) -> list[tuple[keras.layers.Layer, keras.KerasTensor]]:
    """Returns the layers of a network that take a tensor, and what they make of it."""
    return [
        (layer, node.output_tensors[0])
        for layer in getattr(network, "_functional", network).operations
        for node in layer._inbound_nodes
        if any(tensor is taken for taken in node.input_tensors)
    ]


def _place_of_constant(
    convolution: keras.layers.Conv2D, following: Sequence[keras.layers.Layer]
) -> tuple[keras.Variable, float]:
    """Returns what takes up a constant in a convolution's outputs, and its sign."""
    if convolution.use_bias:
        return convolution.bias, 1.0
    is_linear = convolution.activation is keras.activations.linear
    follows = len(following) == 1 and type(following[0])
    if is_linear and follows is keras.layers.BatchNormalization:
        return following[0].moving_mean, -1.0
    raise errors.UsageError(
        f"the first convolution, {convolution.name!r}, has neither a bias nor batch "
        "normalization right behind it, so it can't take up another mean. Choose a "
        "setting other than finetune_folded"
    )
