"""What the functional models of our own families have in common."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable

import keras
from keras import layers

from normtest_tf.backbones import registry
from normtest_tf.backbones.weights import sources as weights_lib
from normtest_tf.training import pytorch_semantics

POOLING = {
    "avg": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
}


def convolution(
    x: keras.KerasTensor,
    filters: int,
    size: int,
    strides: int,
    name: str,
    fan: str = "fan_out",
) -> keras.KerasTensor:
    """Convolves without bias, padded by size // 2 on every side.

    The kernel starts as PyTorch's `kaiming_normal_(mode=fan, nonlinearity="relu")`.
    """
    if size > 1 and strides > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    return layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same" if strides == 1 else "valid",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(
            scale=2.0, mode=fan, distribution="untruncated_normal"
        ),
        name=name,
    )(x)


def batch_norm(
    x: keras.KerasTensor, name: str, gamma: str = "ones"
) -> keras.KerasTensor:
    """Normalises with PyTorch's epsilon and momentum."""
    return layers.BatchNormalization(
        epsilon=1e-5, momentum=0.9, gamma_initializer=gamma, name=name
    )(x)


def max_pool(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Pools 3x3 with stride 2, what comes out of a ReLU, padded by 1."""
    # Activations are not negative, so zeros pad as well as -infinity.
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, strides=2, name=name)(x)


def linear(
    features: int,
    outputs: int,
    *,
    name: str,
    bias: str = "uniform",
    activation: str | None = None,
    seed: int | None = None,
) -> layers.Dense:
    """Returns a linear layer that starts as PyTorch's and computes in full precision.

    Args:
        features: The number of inputs.
        outputs: The number of outputs.
        name: The layer's name.
        bias: How the bias starts: `uniform`, as `torch.nn.Linear`, or `zeros`.
        activation: The layer's activation.
        seed: Makes the initial weights repeatable by itself.

    Returns:
        The layer, of float32 under a policy of mixed precision.
    """
    uniform = pytorch_semantics.linear_initializer
    bias_seed = None if seed is None else seed + 1
    policy = keras.config.dtype_policy()
    return layers.Dense(
        outputs,
        activation=activation,
        kernel_initializer=uniform(features, seed),
        bias_initializer="zeros" if bias == "zeros" else uniform(features, bias_seed),
        dtype=keras.backend.result_type(policy.compute_dtype, "float32"),
        name=name,
    )


@dataclasses.dataclass(frozen=True)
class Network:
    """A network before its top and its weights.

    Attributes:
        architecture: Its name in the registry.
        features: From the input tensor to the last feature map.
        top_name: PyTorch's name of the classifier.
        default_input_shape: Used where none is given.
    """

    architecture: str
    features: Callable[[keras.KerasTensor], keras.KerasTensor]
    top_name: str
    default_input_shape: tuple[int, int, int] = (224, 224, 3)

    def build(
        self,
        include_top: bool,
        weights: str | None,
        input_shape: tuple[int, int, int] | None,
        pooling: str | None,
        classes: int,
        classifier_activation: str | None,
        name: str,
    ) -> keras.Model:
        """Closes the feature extractor with a top, and loads its weights.

        Args:
            include_top: See `resnet.ResNet18`, as for all that follow.
            weights: See there.
            input_shape: See there.
            pooling: See there.
            classes: See there.
            classifier_activation: See there.
            name: See there.

        Returns:
            The model.

        Raises:
            ValueError: If an argument is not an allowed value.
            UsageError: If the weights can't be used.
        """
        shape = tuple(input_shape or self.default_input_shape)
        self._check(include_top, shape, pooling, classes)
        inputs = keras.Input(shape)
        x = self.features(inputs)
        if include_top:
            x = layers.GlobalAveragePooling2D(name="global_pool")(x)
            x = linear(
                x.shape[-1],
                classes,
                name=self.top_name,
                bias=registry.get(self.architecture).head_bias,
                activation=classifier_activation,
            )(x)
        elif pooling:
            x = POOLING[pooling](name="global_pool")(x)
        model = keras.Model(inputs, x, name=name)
        if weights is not None:
            source = weights_lib.resolve(self.architecture, weights)
            left_out = weights_lib.load(model, source)
            if include_top and left_out:
                warnings.warn("; ".join(left_out), stacklevel=3)
        return model

    def _check(
        self,
        include_top: bool,
        shape: tuple[int, ...],
        pooling: str | None,
        classes: int,
    ) -> None:
        """Raises if an argument is not an allowed value."""
        if pooling not in (None, *POOLING):
            raise ValueError(
                f"pooling must be 'avg', 'max' or None. Received: pooling={pooling!r}"
            )
        if include_top and classes < 1:
            raise ValueError(f"classes must be positive. Received: classes={classes}")
        smallest = registry.get(self.architecture).min_size
        sides = [side for side in shape[:2] if side is not None]
        if len(shape) != 3 or any(side < smallest for side in sides):
            raise ValueError(
                "input_shape must be (height, width, channels) of at least "
                f"{smallest} pixels a side. Received: input_shape={shape}"
            )
