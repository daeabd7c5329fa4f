"""The question of this project: how the inputs of a network are normalised.

    settings     the settings to compare, one `Setting` object each
    statistics   channel statistics: measured exactly, and published constants
    layers       the Keras layers that apply them, on raw pixels
    folding      moving a change of constants into the first convolution

Importing this package does not import Keras.
"""

from normtest_tf.normalization.layers import normalization_layer
from normtest_tf.normalization.settings import (
    CONTROL,
    CONTROL_AGAIN,
    GIVEN,
    SETTINGS,
    TREATMENT,
    Setting,
    get,
    given,
)
from normtest_tf.normalization.statistics import (
    IMAGENET,
    IMAGENET_POOLED,
    MINMAX,
    ChannelStatistics,
    channel_statistics,
)

__all__ = [
    "CONTROL",
    "CONTROL_AGAIN",
    "GIVEN",
    "IMAGENET",
    "IMAGENET_POOLED",
    "MINMAX",
    "SETTINGS",
    "TREATMENT",
    "ChannelStatistics",
    "Setting",
    "channel_statistics",
    "get",
    "given",
    "normalization_layer",
]
