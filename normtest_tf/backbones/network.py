"""How a feature extractor becomes a `keras.Model`: its top and its weights."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable

import keras

from normtest_tf.backbones import layers, pretrained, registry
from normtest_tf.backbones.architecture import Architecture
from normtest_tf.text import ignore

POOLING = {
    "avg": keras.layers.GlobalAveragePooling2D,
    "max": keras.layers.GlobalMaxPooling2D,
}


@dataclasses.dataclass(frozen=True)
class Top:
    """What follows the last feature map: a classifier, pooling or nothing.

    Attributes:
        include_top: Whether it is a classifier.
        pooling: Without a classifier: `avg`, `max` or None.
        classes: The number of classes of the classifier.
        activation: The activation of the classifier; None for logits.

    Raises:
        ValueError: If a value is not allowed.
    """

    include_top: bool
    pooling: str | None
    classes: int
    activation: str | None

    def __post_init__(self) -> None:
        if self.pooling not in (None, *POOLING):
            raise ValueError(
                "pooling must be 'avg', 'max' or None. Received: "
                f"pooling={self.pooling!r}"
            )
        if self.include_top and self.classes < 1:
            raise ValueError(
                f"classes must be positive. Received: classes={self.classes}"
            )

    def apply(self, x: keras.KerasTensor, name: str, bias: str) -> keras.KerasTensor:
        """Puts the top on a feature map.

        Args:
            x: Feature map `[n, height, width, channels]`.
            name: The name of the classifier.
            bias: How its bias is initialised; see `layers.linear`.

        Returns:
            Scores `[n, classes]`, features `[n, channels]` or the feature map.
        """
        pooling = "avg" if self.include_top else self.pooling
        if pooling:
            pool = POOLING[pooling]
            x = pool(data_format=layers.CHANNELS_LAST, name="global_pool")(x)
        if self.include_top:
            x = layers.linear(
                x.shape[-1],
                self.classes,
                name=name,
                bias=bias,
                activation=self.activation,
            )(x)
        return x


@dataclasses.dataclass(frozen=True)
class Network:
    """One of our own networks, before its top and its weights.

    Attributes:
        architecture: Its name in the registry.
        features: Maps the input tensor to the last feature map.
        default_input_shape: Used if none is given.
    """

    architecture: str
    features: Callable[[keras.KerasTensor], keras.KerasTensor]
    default_input_shape: tuple[int, int, int] = (224, 224, 3)

    def build(
        self,
        top: Top,
        weights: str | None,
        input_shape: tuple[int, int, int] | None,
        name: str,
    ) -> keras.Model:
        """Adds the top and loads the weights.

        Args:
            top: What follows the last feature map.
            weights: A tag, the path of a file, or None for random weights.
            input_shape: Height, width and 3; height and width may be None.
            name: The model's name.

        Returns:
            The model.

        Raises:
            ValueError: If `input_shape` is not allowed.
            UsageError: If the weights can't be found or loaded.
        """
        architecture = registry.get(self.architecture)
        inputs = keras.Input(self._checked_shape(architecture, input_shape))
        outputs = top.apply(
            self.features(inputs), architecture.classifier, architecture.head_bias
        )
        model = keras.Model(inputs, outputs, name=name)
        if weights is not None:
            network = pretrained.resolve(self.architecture, weights)
            network.load_weights(model, warnings.warn if top.include_top else ignore)
        return model

    def _checked_shape(
        self, architecture: Architecture, shape: tuple[int, int, int] | None
    ) -> tuple[int, ...]:
        """Returns the shape to use, or raises `ValueError`."""
        checked = tuple(shape or self.default_input_shape)
        sides = [side for side in checked[:2] if side is not None]
        smallest = architecture.min_size
        if len(checked) != 3 or any(side < smallest for side in sides):
            raise ValueError(
                "input_shape must be (height, width, channels) of at least "
                f"{smallest} pixels a side. Received: input_shape={checked}"
            )
        return checked
