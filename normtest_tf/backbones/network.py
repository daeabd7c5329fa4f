"""Our own networks as functions: how features become a `keras.Model`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol

import keras

from normtest_tf.backbones import layers, pretrained, registry
from normtest_tf.text import ignore

POOLING = {
    "avg": keras.layers.GlobalAveragePooling2D,
    "max": keras.layers.GlobalMaxPooling2D,
}
_DOC = """Builds {title}.

    Args:
        include_top: bool. Whether the model ends in a classifier.
        weights: str or None. A tag ({tags}), the path of a `.safetensors`,
            `.weights.h5` or `.keras` file, or None for random weights. A classifier of
            a different size is skipped, with a warning.
        input_shape: tuple of ints, (height, width, 3). Default: {shape}.
        pooling: `avg`, `max` or None. Without a classifier, how the last feature map
            `[n, height / {stride}, width / {stride}, {channels}]` is pooled.
        classes: int. The number of classes, if there is a classifier.
        classifier_activation: str or None. Its activation; None for logits.
        name: str. The model's name.

    Returns:
        A functional `keras.Model` of RGB images, float `[n, height, width, 3]`,
        normalised with `backbones.get("{name}").tags[weights].statistics`.

    Raises:
        ValueError: If an argument has a value that is not allowed.
        UsageError: If there is no such tag, or the file can't be downloaded or loaded.

    Example:
    ```python
    backbone = {function}(include_top=False, weights=None, pooling="avg")
    features = backbone(np.zeros([1, *{shape}], "float32"))  # [1, {channels}]
    ```
    """


class Builder(Protocol):
    """A function with the signature of Keras Applications."""

    def __call__(
        self,
        include_top: bool = True,
        weights: str | None = ...,
        input_shape: tuple[int, int, int] | None = None,
        pooling: str | None = None,
        classes: int = ...,
        classifier_activation: str | None = "softmax",
        name: str = ...,
    ) -> keras.Model:
        """Builds a network."""


def builder(
    function: str,
    features: Callable[[keras.KerasTensor], keras.KerasTensor],
    *,
    title: str,
    channels: int,
    default_shape: tuple[int, int, int] = (224, 224, 3),
    default_classes: int = 1000,
    stride: int = 32,
) -> Builder:
    """Makes the function that builds one of our own networks.

    Args:
        function: Its name, as the registry has it.
        features: Maps the input tensor to the last feature map.
        title: What the function builds, for its docstring.
        channels: Of the last feature map.
        default_shape: Height, width and 3 of the input.
        default_classes: The number of classes.
        stride: How much smaller the last feature map is than the image.
    """
    architecture = registry.own(function)

    def build(
        include_top: bool = True,
        weights: str | None = architecture.default_tag,
        input_shape: tuple[int, int, int] | None = None,
        pooling: str | None = None,
        classes: int = default_classes,
        classifier_activation: str | None = "softmax",
        name: str = architecture.name,
    ) -> keras.Model:
        if pooling not in (None, *POOLING):
            raise ValueError(
                f"pooling must be 'avg', 'max' or None. Received: pooling={pooling!r}"
            )
        if include_top and classes < 1:
            raise ValueError(f"classes must be positive. Received: classes={classes}")
        shape = tuple(input_shape or default_shape)
        inputs = keras.Input(_checked(shape, architecture.min_size))
        x = features(inputs)
        if include_top or pooling:
            pool = POOLING["avg" if include_top else str(pooling)]
            x = pool(data_format=layers.CHANNELS_LAST, name="global_pool")(x)
        if include_top:
            x = layers.linear(
                x.shape[-1],
                classes,
                name=architecture.classifier,
                bias=architecture.head_bias,
                activation=classifier_activation,
            )(x)
        model = keras.Model(inputs, x, name=name)
        if weights is not None:
            network = pretrained.resolve(architecture.name, weights)
            network.load_weights(model, warnings.warn if include_top else ignore)
        return model

    build.__name__ = build.__qualname__ = function
    build.__module__ = architecture.builder.partition(":")[0]
    build.__doc__ = _DOC.format(
        function=function,
        title=title,
        name=architecture.name,
        tags=f"`{architecture.default_tag}`"
        + (", ..." if len(architecture.tags) > 1 else ""),
        shape=default_shape,
        stride=stride,
        channels=channels,
    )
    return build


def _checked(shape: tuple[int, ...], smallest: int) -> tuple[int, ...]:
    """Returns the shape of an input, or raises `ValueError`."""
    sides = [side for side in shape[:2] if side is not None]
    if len(shape) != 3 or any(side < smallest for side in sides):
        raise ValueError(
            "input_shape must be (height, width, channels) of at least "
            f"{smallest} pixels a side. Received: input_shape={shape}"
        )
    return shape
