"""The copy of a model that is trained: PyTorch's semantics, frozen and faster layers.

The copy computes what the model computes and has the same variables in the same order,
but its layers are not stock Keras layers. What it has learned goes back into the model,
which is what is saved:

```python
trained = training_copy.make(model)
...
model.set_weights(trained.get_weights())
```
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from normtest_tf import errors, text
from normtest_tf.backbones import layers
from normtest_tf.training import choices


class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization that trains as `torch.nn.BatchNorm2d` does.

    The running variance uses the unbiased batch variance, n/(n-1) times the biased one
    Keras uses (n: values per channel in the batch). On TensorFlow the fused kernel
    does the work: forward and backward take about half the time of Keras's separate
    operations.
    """

    def call(
        self,
        inputs: keras.KerasTensor,
        training: bool | None = None,
        mask: keras.KerasTensor | None = None,
    ) -> keras.KerasTensor:
        """Normalises `inputs` and, in training, updates the running statistics."""
        is_fused = _can_fuse(self, inputs)
        if not (training and self.trainable):
            if is_fused and not (training and _lacks_gradient()):
                return _fused_batch_norm(self, inputs, is_training=False)[0]
            return super().call(inputs, training=training, mask=mask)
        if is_fused:
            outputs, mean, unbiased = _fused_batch_norm(self, inputs, is_training=True)
        else:
            outputs, mean, unbiased = _batch_norm(self, inputs)
        for running, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, unbiased),
        ):
            if is_fused:  # TensorFlow's variable: Keras's takes long to trace.
                running = running.value
            else:
                batch = ops.cast(batch, running.dtype)
            running.assign(running * self.momentum + batch * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)


def _can_fuse(layer: BatchNormalization, inputs: keras.KerasTensor) -> bool:
    """Tells whether TensorFlow's fused kernel computes this layer."""
    return (
        keras.backend.backend() == "tensorflow"
        and len(inputs.shape) == 4
        and layer.axis in (-1, 3)
        and keras.backend.standardize_dtype(inputs.dtype) != "float64"
    )


def _lacks_gradient() -> bool:
    """Tells whether the kernel has no gradient here, where its statistics are stored.

    It has no deterministic one on a GPU.
    """
    import tensorflow as tf
    from tensorflow.python.framework import config  # There is no public way to ask.

    return config.is_op_determinism_enabled() and bool(
        tf.config.list_logical_devices("GPU")
    )


def _fused_batch_norm(
    layer: BatchNormalization, inputs: keras.KerasTensor, *, is_training: bool
) -> tuple[keras.KerasTensor, ...]:
    """Returns outputs, batch mean and unbiased batch variance, by one kernel."""
    import tensorflow as tf

    channels = inputs.shape[-1]
    return tf.compat.v1.nn.fused_batch_norm(
        inputs,
        scale=layer.gamma if layer.scale else tf.ones([channels]),
        offset=layer.beta if layer.center else tf.zeros([channels]),
        mean=None if is_training else layer.moving_mean,
        variance=None if is_training else layer.moving_variance,
        epsilon=layer.epsilon,
        is_training=is_training,
    )


def _batch_norm(
    layer: BatchNormalization, inputs: keras.KerasTensor
) -> tuple[keras.KerasTensor, ...]:
    """Does the work of `_fused_batch_norm` on any backend and dtype."""
    dtype = keras.backend.result_type(inputs.dtype, "float32")
    inputs = ops.cast(inputs, dtype)
    rank = len(inputs.shape)
    axes = [axis for axis in range(rank) if axis != layer.axis % rank]
    mean, variance = ops.moments(inputs, axes=axes)
    outputs = ops.batch_normalization(
        inputs,
        mean=mean,
        variance=variance,
        axis=layer.axis,
        offset=ops.cast(layer.beta, dtype) if layer.center else None,
        scale=ops.cast(layer.gamma, dtype) if layer.scale else None,
        epsilon=layer.epsilon,
    )
    count = ops.cast(ops.size(inputs) / inputs.shape[layer.axis], dtype)
    return outputs, mean, variance * (count / ops.maximum(count - 1, 1))


class Normalization(keras.layers.Normalization):
    """Normalization whose constants are values in TensorFlow's graphs, not in them."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Turns the constants into variables, which are not among the weights."""
        super().build(input_shape)
        if self.input_mean is not None and keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            for name in ("mean", "variance"):
                setattr(self, name, tf.Variable(getattr(self, name)))

    def take_constants(self, other: keras.layers.Normalization) -> None:
        """Normalises as another layer from now on."""
        self.mean.assign(other.mean)
        self.variance.assign(other.variance)


Border = tuple[tuple[int, int], tuple[int, int]]  # (top, bottom), (left, right)
NO_BORDER: Border = ((0, 0), (0, 0))


class Convolution(keras.layers.Conv2D):
    """A 2-D convolution that is a matrix product where that is faster.

    Libraries make convolutions fast for maps of many pixels. At 32x32, the last stages
    of networks for ImageNet have maps of 2x2 and 1x1 pixels, where a padded 3x3 kernel
    touches four of its nine taps or a single one, and the others cost time to multiply
    zeros. Where every output sees every input, or the kernel is 1x1 with stride 1, the
    same function, up to rounding, is a product with a matrix of taps; on larger maps
    it would be mostly zeros.
    """

    # The rows and columns at the inputs' edges that are known to be zero.
    border: Border | None = None

    def convolution_op(
        self, inputs: keras.KerasTensor, kernel: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Applies the kernel, without bias and activation."""
        is_plain = (
            self.data_format == "channels_last"
            and self.groups == 1
            and tuple(self.dilation_rate) == (1, 1)
            and self.padding in ("same", "valid")
        )
        if not is_plain or None in inputs.shape[1:]:
            return super().convolution_op(inputs, kernel)
        shape = self.compute_output_shape(inputs.shape)[1:]
        if self.kernel_size == self.strides == (1, 1):
            return _product(inputs, ops.reshape(kernel, kernel.shape[2:]), shape)
        rows, columns = (self._joints(i, inputs.shape[i + 1], shape[i]) for i in (0, 1))
        if rows is None or columns is None:
            return super().convolution_op(inputs, kernel)
        seen = inputs[:, rows[0], columns[0]]
        return _product(seen, _matrix(kernel, rows[1], columns[1]), shape)

    def _joints(
        self, axis: int, inputs: int, outputs: int
    ) -> tuple[slice, np.ndarray] | None:
        """Returns the inputs that are seen, and the taps that join them to outputs.

        None if an input is seen by some outputs only.
        """
        size, stride = self.kernel_size[axis], self.strides[axis]
        before, after = (self.border or NO_BORDER)[axis]
        padding = 0
        if self.padding == "same":
            padding = max((outputs - 1) * stride + size - inputs, 0) // 2
        inside = np.arange(before, inputs - after)
        taps = inside[:, np.newaxis] + padding - stride * np.arange(outputs)
        are_joined = (taps >= 0) & (taps < size)
        seen = np.flatnonzero(are_joined.any(axis=1))
        if not seen.size or not are_joined[seen].all():
            return None
        return slice(inside[seen[0]], inside[seen[-1]] + 1), taps[seen]


def _product(
    maps: keras.KerasTensor, matrix: keras.KerasTensor, shape: tuple[int, int, int]
) -> keras.KerasTensor:
    """Multiplies flattened maps, or each of their pixels, with a matrix."""
    products = ops.matmul(ops.reshape(maps, [-1, matrix.shape[0]]), matrix)
    return ops.reshape(products, [-1, *shape])


def _matrix(
    kernel: keras.KerasTensor, rows: np.ndarray, columns: np.ndarray
) -> keras.KerasTensor:
    """Arranges a kernel's taps so that a flattened map can be multiplied with them."""
    height, width, channels, filters = kernel.shape
    # Taken apart and joined, not gathered: that has a fast and exact gradient.
    taps = ops.unstack(ops.reshape(kernel, [height * width, channels, filters]))
    index = rows[:, np.newaxis, :, np.newaxis] * width + columns[:, np.newaxis]
    index = index.reshape(len(rows) * len(columns), -1)
    lines = [ops.concatenate([taps[i] for i in line], axis=1) for line in index]
    return ops.concatenate(lines, axis=0)


Kinds: TypeAlias = Mapping[type, type[keras.layers.Layer]]
# A subclass may compute something else.
_REPLACED: Kinds = {
    keras.layers.BatchNormalization: BatchNormalization,
    keras.layers.Conv2D: Convolution,
    keras.layers.Normalization: Normalization,
}
traced: list[str] = []  # Models that this process has, perhaps, traced: graphs leak.


def make(model: keras.Model) -> keras.Model:
    """Copies a model for training.

    Args:
        model: A functional or sequential model, perhaps with models among its layers.

    Returns:
        The copy, with the same weights. Its batch normalization trains as PyTorch's,
        and its convolutions of small maps are matrix products.
    """
    padding: dict[int, Border] = {}  # By the id of a padding layer's output.

    def call(
        layer: keras.layers.Layer, *args: object, **kwargs: object
    ) -> keras.KerasTensor:
        outputs = layer(*args, **kwargs)
        if type(layer) is keras.layers.ZeroPadding2D:
            padding[id(outputs)] = layer.padding
        elif isinstance(layer, Convolution):
            border = padding.get(id(args[0]), NO_BORDER)
            # Inputs of a shared layer may differ.
            layer.border = border if layer.border in (None, border) else NO_BORDER
        return outputs

    copy = keras.models.clone_model(
        model,
        clone_function=_clone,
        call_function=None if isinstance(model, keras.Sequential) else call,
        recursive=True,
    )
    layers.copy_weights(model, copy)
    return copy


def _clone(layer: keras.layers.Layer, kinds: Kinds = _REPLACED) -> keras.layers.Layer:
    kind = kinds.get(type(layer), type(layer))
    return kind.from_config(layer.get_config())


class _Frozen(keras.layers.Layer):
    """Computes as another layer or model does in evaluation, and never changes it.

    `trainable=False` alone is not enough: dropout would still drop. Gradients stop
    here, so nothing is computed or kept for those of the layer's own weights.
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__(name=layer.name, autocast=False)
        layer.trainable = False
        self.layer = layer
        self.built = True

    def call(self, inputs: keras.KerasTensor, **_: object) -> keras.KerasTensor:
        return ops.stop_gradient(self.layer(inputs, training=False))


def freeze(copy: keras.Model, regime: str) -> keras.Model:
    """Makes a training copy train as a regime says; use the returned model instead."""
    if regime == choices.FROZEN_BN:
        for layer in batch_normalizations(copy):
            layer.trainable = False
    if regime != choices.HEAD:
        return copy
    head = copy.layers[-1]

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        is_kept = layer is head or isinstance(layer, keras.layers.InputLayer)
        return layer if is_kept else _Frozen(layer)

    return keras.models.clone_model(copy, clone_function=clone)


def batch_normalizations(
    model: keras.Model,
) -> Iterator[keras.layers.BatchNormalization]:
    """Yields a model's batch normalization layers, those of inner models included."""
    for layer in layers.leaves(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer


def check_regime(
    model: keras.Model, regime: str, *, recalibrated: bool = False
) -> None:
    """Raises `UsageError` if a flag needs batch normalization and there is none."""
    flags = ["--recalibrate"] * recalibrated
    flags += [f"--train={choices.FROZEN_BN}"] * (regime == choices.FROZEN_BN)
    if flags and next(batch_normalizations(model), None) is None:
        raise errors.UsageError(
            f"{flags[-1]} needs a network with batch normalization, and this one has "
            "none. Omit it, or choose another --model"
        )


def check_batches(model: keras.Model, examples: int, batch_size: int) -> None:
    """Raises `UsageError` if batch normalization would get single values per channel.

    That happens to a batch of one image where a layer's map is 1x1. The value would be
    normalised to 0, and the running variance would shrink.
    """
    if batch_size != 1 and examples % batch_size != 1:
        return
    if layer := next(filter(_gets_one_value, batch_normalizations(model)), None):
        which = "every" if batch_size == 1 else "the last"
        larger = range(batch_size + 1, examples + 1)
        size = next((size for size in larger if examples % size != 1), 0)
        advice = f"Pass --batch_size={size}" if size else "Train on two images or more"
        raise errors.UsageError(
            f"{which} training batch of an epoch would be a single image "
            f"({text.counted(examples, 'image')}, --batch_size={batch_size}), where "
            f"the batch normalization {layer.name} gets one value per channel, which "
            f"becomes 0 whatever the image is. {advice}"
        )


def _gets_one_value(layer: keras.layers.BatchNormalization) -> bool:
    """Tells whether a layer trains and has one value per channel and image."""
    shape = list(layer.input.shape)
    del shape[layer.axis], shape[0]
    return layer.trainable and None not in shape and math.prod(shape) == 1


class _Accumulating(BatchNormalization):
    """Normalises with the batch's statistics in every mode."""

    def call(self, inputs: keras.KerasTensor, *_: object, **__: object) -> object:
        return super().call(inputs, training=True)


_ACCUMULATING: Kinds = {
    keras.layers.BatchNormalization: _Accumulating,
    keras.layers.Normalization: Normalization,
}


class Accumulator:
    """A copy of a model that estimates batch normalization's running statistics again.

    Known as AdaBN: Li et al., "Revisiting Batch Normalization For Practical Domain
    Adaptation" (2016), arXiv:1603.04779. The images pass through the network once. Each
    layer normalises with the batch's own statistics, as in training, and the running
    ones become the mean over all batches, weighted by their sizes; what they were
    before is forgotten. With batches of one size this is PyTorch's `momentum=None`.
    """

    def __init__(self, model: keras.Model) -> None:
        traced.append(model.name)
        clone = functools.partial(_clone, kinds=_ACCUMULATING)
        self.copy = keras.models.clone_model(
            model, clone_function=clone, recursive=True
        )
        self._layers = list(batch_normalizations(self.copy))
        for layer in self._layers:
            layer.trainable = True  # Frozen layers don't accumulate.
        self._step = self._accumulate
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            self._step = tf.function(self._accumulate, reduce_retracing=True)

    def recalibrate(self, model: keras.Model, batches: Iterable[np.ndarray]) -> None:
        """Estimates a model's running statistics from images, and changes no other."""
        layers.copy_weights(model, self.copy)
        seen = 0
        for batch in batches:
            self._step(batch, np.float32(seen / (seen + len(batch))))
            seen += len(batch)
        for own, found in zip(batch_normalizations(model), self._layers, strict=True):
            own.moving_mean.assign(found.moving_mean)
            own.moving_variance.assign(found.moving_variance)

    def _accumulate(self, batch: np.ndarray, momentum: np.float32) -> None:
        for layer in self._layers:
            layer.momentum = momentum
        self.copy(batch, training=False)


class Recalibrator(keras.callbacks.Callback):
    """Recalibrates what is trained, once: before the first epoch, or after the last.

    Training all layers would forget the statistics, so there it comes last. It has to
    precede the callback that evaluates and records an epoch: the epoch's checkpoint
    then holds the new statistics, and a resumed run needs nothing else. The `model` of
    stock layers, whose copy is trained, gets the copy's weights.
    """

    def __init__(
        self,
        model: keras.Model,
        accumulator: Accumulator,
        batches: Iterable[tuple],
        regime: str,
        epochs: int,
    ) -> None:
        super().__init__()
        self._stock = model
        self._accumulator = accumulator
        self._batches = batches  # Of images and labels.
        self._after = epochs if regime == choices.ALL else 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Recalibrates before the first epoch, if that is when."""
        if epoch == self._after:
            self._recalibrate()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Recalibrates after the last epoch, if that is when."""
        if epoch + 1 == self._after:
            self._recalibrate()

    def _recalibrate(self) -> None:
        self._stock.set_weights(self.model.get_weights())
        images = (images for images, _ in self._batches)
        self._accumulator.recalibrate(self._stock, images)
        self.model.set_weights(self._stock.get_weights())
