"""What the registry knows about one network: name, pre-trained weights, builder."""

from __future__ import annotations

import dataclasses
import pathlib
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from normtest_tf.normalization import ChannelStatistics
from normtest_tf.system import keras_setup

if TYPE_CHECKING:
    import keras

HALF = ChannelStatistics((0.5,) * 3, (0.5,) * 3, "fixed", "scaling to [-1, 1]")
BY_128 = ChannelStatistics(
    (128 / 255,) * 3,
    (128 / 255,) * 3,
    definition="fixed",
    source="division of pixels from 0 to 255 by 128, minus 1",
)
CAFFE = ChannelStatistics(
    (123.68 / 255, 116.779 / 255, 103.939 / 255),
    (1 / 255,) * 3,
    definition="fixed",
    source="Caffe's ImageNet mean; pixels are not scaled",
)
CIFAR10 = ChannelStatistics(
    (0.4914, 0.4822, 0.4465),
    (0.247, 0.2435, 0.2616),
    definition="pooled",
    source="all training images of CIFAR10",
)


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """Where pre-trained weights come from, and the inputs they expect.

    Attributes:
        origin: A repository of the Hugging Face Hub (`hf:OWNER/NAME`), a file of
            this package (`package:FILE`), or Keras's own download (`keras`).
        trained_on: The pre-training set.
        statistics: The channel statistics of its inputs, in RGB order.
        channel_order: `rgb` or `bgr`.
        licence: Licence of the weights, as stated at their origin.
        url: Where their authors describe them, or empty.
        input_size: The image side in pre-training, or None if unknown.
    """

    origin: str
    trained_on: str
    statistics: ChannelStatistics
    channel_order: str = "rgb"
    licence: str = "apache-2.0"
    url: str = ""
    input_size: int | None = None


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One network of the registry.

    Attributes:
        name: Its name on the command line.
        builder: The function that builds it, as `module:function`; imported when the
            network is built.
        tags: Its pre-trained weights by tag; the first is the default.
        options: Arguments that `build` always passes to the function.
        min_size: The smallest image side it accepts, in pixels.
        head_bias: How the bias of a new classifier is initialised: `uniform`, as in
            PyTorch's linear layers, or `zeros`.
        first_layer: The layer that takes normalised images, if the function puts its
            own preprocessing in front of it, which `build` cuts off; else None.
        file: The `.keras` file that the network is in; None for those of the registry.
        classifier: What PyTorch calls the classifier of one of our own networks.
    """

    name: str
    builder: str
    tags: dict[str, Pretraining]
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    min_size: int = 32
    head_bias: str = "uniform"
    first_layer: str | None = None
    file: pathlib.Path | None = None
    classifier: str = "fc"

    @property
    def is_own(self) -> bool:
        """Whether this package defines the network, rather than Keras Applications."""
        return not self.builder.startswith("keras.")

    @property
    def is_timms(self) -> bool:
        """Whether timm has the same network under the same name."""
        return any(tag.origin.startswith("hf:timm/") for tag in self.tags.values())

    @property
    def default_tag(self) -> str:
        """The tag that is used unless another is requested."""
        return next(iter(self.tags))

    def load_builder(self) -> Callable[..., keras.Model]:
        """Imports the function that builds the network."""
        return pkgutil.resolve_name(self.builder)

    @keras_setup.checked(dtypes=False)
    def build(self, **arguments: Any) -> keras.Model:  # noqa: ANN401  (passed on)
        """Builds the network.

        Args:
            **arguments: Those of Keras Applications' functions; see
                `backbones.ResNet18`, also for what is raised.

        Returns:
            A model that maps float images `[n, height, width, 3]`, normalised as in
            pre-training, to class scores, features or a feature map.

        Example:
            ```python
            model = backbones.get("resnet18").build(weights=None, classes=10)
            ```
        """
        model = self.load_builder()(**self.options, **arguments)
        if self.first_layer is None:
            return model
        from normtest_tf.backbones import trunk

        # Weights have constants for the preprocessing; a fresh model has none yet.
        trained = arguments.get("weights") in self.tags
        statistics = self.tags[self.default_tag].statistics if trained else None
        return trunk.without_preprocessing(model, self.first_layer, statistics)
