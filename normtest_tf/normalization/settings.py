"""The normalization settings that are compared, one object each.

Flags, help texts, sweeps, reports and figures are generated from `SETTINGS`. To add a
setting, add an entry; a function that measures images goes to `statistics`.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from normtest_tf import errors
from normtest_tf.normalization import layers
from normtest_tf.normalization.statistics import (
    IMAGENET_POOLED,
    MINMAX,
    PIXEL_MAX,
    ChannelStatistics,
    Images,
    channel_statistics,
    gray_statistics,
    mean_of_stds,
)
from normtest_tf.text import Notify

if TYPE_CHECKING:
    import keras

CONTROL = "pretrain"  # The setting that all others are compared with.
TREATMENT = "finetune"  # The setting whose comparison with it is the planned one.
CONTROL_AGAIN = "pretrain_again"  # Differs from it by what chaos does to training.
GIVEN = "given"  # Has the constants of a run's --mean and --std; see `given`.
PERTURBATION = 1e-5  # The relative change of the inputs of `CONTROL_AGAIN`.
RAW = ChannelStatistics(
    mean=(0.0, 0.0, 0.0),
    std=(1 / PIXEL_MAX, 1 / PIXEL_MAX, 1 / PIXEL_MAX),
    definition="fixed",
    source="pixels as they are, from 0 to 255",
)

ImageShape: TypeAlias = tuple[int, int, int]
# (training images, statistics of pre-training, notify) -> constants, if it has any
StatisticsOf: TypeAlias = Callable[
    [Images, ChannelStatistics, Notify], ChannelStatistics | None
]
# (constants, image shape, channel order of the inputs) -> layers
LayersOf: TypeAlias = Callable[
    [ChannelStatistics | None, ImageShape, str], "list[keras.layers.Layer]"
]


def _measured(
    measure: Callable[[Images, str, Notify], ChannelStatistics],
) -> StatisticsOf:
    """Returns what measures a setting's constants on the training images."""
    source = "the training images of this run"
    return lambda images, pretraining, notify: measure(images, source, notify)


def _affine(
    statistics: ChannelStatistics | None, image_shape: ImageShape, channel_order: str
) -> list[keras.layers.Layer]:
    """Returns the one layer of a setting that consists of constants."""
    assert statistics is not None  # Only `instance` has none, and layers of its own.
    return [layers.affine(statistics, channel_order)]


def _pretrain_again(
    images: Images, pretraining: ChannelStatistics, notify: Notify
) -> ChannelStatistics:
    """Returns statistics that multiply what `CONTROL` does by `1 + PERTURBATION`."""
    red, green, blue = (value / (1 + PERTURBATION) for value in pretraining.std)
    return dataclasses.replace(
        pretraining,
        std=(red, green, blue),
        source=f"{pretraining.source}; std divided by 1 + {PERTURBATION:g}",
    )


def _not_given(*_: object) -> ChannelStatistics:
    raise errors.UsageError(f"--normalization={GIVEN} needs --mean and --std")


@dataclasses.dataclass(frozen=True)
class Setting:
    """One way to normalise a network's inputs."""

    name: str  # Without a hyphen, which separates it from the model in result paths.
    description: str  # What it normalises with, for help texts.
    formula: str  # What a pixel x, from 0 to 1, becomes.
    statistics_of: StatisticsOf  # Returns the constants that it normalises with.
    layers_of: LayersOf = _affine  # Returns what it puts in front of the backbone.
    # It gives the training images mean 0 and std 1 in each channel, pooled.
    standardises: bool = False
    # The network's first convolution is rewritten so that the network starts as the
    # function that `CONTROL` starts from; see `folding.fold`.
    folds: bool = False

    def statistics(
        self,
        training_images: Images,
        pretraining: ChannelStatistics,
        notify: Notify = warnings.warn,
    ) -> ChannelStatistics | None:
        """Returns the constants to normalise with, RGB; None for a setting without.

        Args:
            training_images: uint8 `[n, height, width, 3]`, in memory or not.
            pretraining: The statistics that the weights were pre-trained with.
            notify: Called with messages for the user.
        """
        return self.statistics_of(training_images, pretraining, notify)

    def layer(
        self,
        statistics: ChannelStatistics | None,
        image_shape: ImageShape,
        channel_order: str = "rgb",
    ) -> keras.layers.Layer:
        """Returns the layer between raw RGB pixels and the backbone.

        Args:
            statistics: From `statistics`.
            image_shape: Height, width and 3.
            channel_order: What the backbone takes: `rgb` or `bgr`.

        Returns:
            A layer from uint8 `[n, height, width, 3]`, RGB, to float32 of the same
            shape in the backbone's channel order.
        """
        own = self.layers_of(statistics, image_shape, channel_order)
        return layers.stack(own, image_shape, channel_order)


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            name="finetune",
            description="mean and std of the fine-tuning set's training images",
            formula="(x - mean) / std, with mean and std pooled over all pixels of "
            "the run's training images",
            statistics_of=_measured(channel_statistics),
            standardises=True,
        ),
        Setting(
            name="pretrain",
            description="mean, std and channel order that the weights were pre-trained "
            "with",
            formula="as in pre-training: (x - mean) / std with torchvision's "
            "constants, Caffe's BGR with the mean subtracted, or [-1, 1]; each tag "
            "records its own",
            statistics_of=lambda images, pretraining, notify: pretraining,
        ),
        Setting(
            name="instance",
            description="each image's own channel mean and unbiased std",
            formula="(x - mean) / std, with each image's own channel mean and "
            "unbiased std",
            statistics_of=lambda images, pretraining, notify: None,
            layers_of=lambda statistics, shape, order: layers.instance(shape),
        ),
        Setting(
            name="minmax",
            description="pixels scaled to [0, 1], nothing else",
            formula="x",
            statistics_of=lambda images, pretraining, notify: MINMAX,
        ),
        Setting(
            name="finetune_folded",
            description="as finetune, with the first convolution rewritten so that the "
            "network starts as it does under pretrain",
            formula="(x - mean) / std, as under finetune; the first convolution and "
            "what follows it undo the difference from pretrain",
            statistics_of=_measured(channel_statistics),
            standardises=True,
            folds=True,
        ),
        Setting(
            name="pretrain_pooled",
            description="ImageNet's mean, and its std by the definition of finetune's",
            formula="(x - mean) / std, with ImageNet's std pooled over all pixels",
            statistics_of=lambda images, pretraining, notify: IMAGENET_POOLED,
        ),
        Setting(
            name="finetune_mean_of_stds",
            description="as finetune, with std by the definition of ImageNet's",
            formula="(x - mean) / std, with the training images' mean, and the mean "
            "of each image's std",
            statistics_of=_measured(mean_of_stds),
        ),
        Setting(
            name="gray",
            description="one mean and std of the training images for all channels",
            formula="(x - mean) / std, with one mean and one std of all three channels",
            statistics_of=_measured(gray_statistics),
        ),
        Setting(
            name="none",
            description="pixels as they are, from 0 to 255",
            formula="255 x",
            statistics_of=lambda images, pretraining, notify: RAW,
        ),
        Setting(
            name=CONTROL_AGAIN,
            description="as pretrain, with inputs multiplied by 1 + 1e-5",
            formula="(1 + 1e-5) times what pretrain makes of it",
            statistics_of=_pretrain_again,
        ),
        Setting(
            name=GIVEN,
            description="mean and std that --mean and --std give",
            formula="(x - mean) / std, with mean and std as given",
            statistics_of=_not_given,
        ),
    )
}


def given(statistics: ChannelStatistics) -> Setting:
    """Returns the setting `given` with its constants."""
    return dataclasses.replace(
        SETTINGS[GIVEN], statistics_of=lambda images, pretraining, notify: statistics
    )


def get(name: str) -> Setting:
    """Returns the setting of that name; `UsageError` if there is none."""
    if name not in SETTINGS:
        raise errors.unknown_name("normalization", name, list(SETTINGS))
    return SETTINGS[name]
