"""The question of this project: how the inputs of a network are normalised.

    settings     the settings to compare, one `Setting` object each
    statistics   channel statistics: measured exactly, and published constants
    layers       the Keras layers that apply them, on raw pixels

Importing this package does not import Keras.
"""

from normtest_tf.normalization.layers import normalization_layer
from normtest_tf.normalization.settings import CONTROL, SETTINGS, Setting, get
from normtest_tf.normalization.statistics import (
    IMAGENET,
    MINMAX,
    ChannelStatistics,
    channel_statistics,
)

__all__ = [
    "CONTROL",
    "IMAGENET",
    "MINMAX",
    "SETTINGS",
    "ChannelStatistics",
    "Setting",
    "channel_statistics",
    "get",
    "normalization_layer",
]
