"""Our own networks as functions: how features become a `keras.Model`."""

from __future__ import annotations

import warnings
from collections.abc import Callable

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


def builder(
    name: str,
    features: Callable[[keras.KerasTensor], keras.KerasTensor],
    *,
    title: str,
    channels: int,
    default_shape: tuple[int, int, int] = (224, 224, 3),
    default_classes: int = 1000,
    stride: int = 32,
) -> Callable[..., keras.Model]:
    """Makes the function that builds one of our own networks.

    `name` is that in the registry, and `title` what the docstring says it builds.
    `features` maps images to the last feature map, which has this many channels and is
    `stride` times smaller.
    """
    architecture = registry.get(name)

    def build(
        include_top: bool = True,
        weights: str | None = architecture.default_tag,
        input_shape: tuple[int, int, int] | None = None,
        pooling: str | None = None,
        classes: int = default_classes,
        classifier_activation: str | None = "softmax",
        name: str = name,
    ) -> keras.Model:
        if pooling not in (None, *POOLING):
            raise ValueError(
                f"pooling must be 'avg', 'max' or None. Received: pooling={pooling!r}"
            )
        shape = tuple(input_shape or default_shape)
        smallest = architecture.min_size
        if any(side is not None and side < smallest for side in shape[:2]):
            raise ValueError(
                f"input_shape must have at least {smallest} pixels a side. Received: "
                f"input_shape={shape}"
            )
        inputs = keras.Input(shape)
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

    build.__module__, function = architecture.builder.split(":")
    build.__name__ = build.__qualname__ = function
    more = ", ..." if len(architecture.tags) > 1 else ""
    build.__doc__ = _DOC.format(
        function=function,
        title=title,
        name=name,
        tags=f"`{architecture.default_tag}`{more}",
        shape=default_shape,
        stride=stride,
        channels=channels,
    )
    return build
