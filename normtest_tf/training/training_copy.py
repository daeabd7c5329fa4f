"""The copy of a model that is trained: PyTorch's semantics, and faster layers.

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

import keras
import numpy as np
from keras import ops


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
        if not (training and self.trainable):
            if _can_fuse(self, inputs):
                return _fused_batch_norm(self, inputs, is_training=False)[0]
            return super().call(inputs, training=training, mask=mask)
        if _can_fuse(self, inputs):
            outputs, mean, unbiased = _fused_batch_norm(self, inputs, is_training=True)
        else:
            outputs, mean, unbiased = _batch_norm(self, inputs)
        for running, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, unbiased),
        ):
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

    def taps(self, axis: int, inputs: int, outputs: int) -> np.ndarray:
        """Returns which tap joins each input inside the border to each output.

        They are not joined where it is negative, or not below the kernel's size.
        """
        size, stride = self.kernel_size[axis], self.strides[axis]
        before, after = (self.border or NO_BORDER)[axis]
        padding = 0
        if self.padding == "same":
            padding = max((outputs - 1) * stride + size - inputs, 0) // 2
        inside = np.arange(before, inputs - after)[:, np.newaxis]
        return inside + padding - stride * np.arange(outputs)

    def _joints(
        self, axis: int, inputs: int, outputs: int
    ) -> tuple[slice, np.ndarray] | None:
        """Returns the inputs that are seen, and the taps that join them to outputs.

        None if an input is seen by some outputs only.
        """
        taps = self.taps(axis, inputs, outputs)
        are_joined = (taps >= 0) & (taps < self.kernel_size[axis])
        seen = np.flatnonzero(are_joined.any(axis=1))
        if not seen.size or not are_joined[seen].all():
            return None
        before = (self.border or NO_BORDER)[axis][0]
        return slice(before + seen[0], before + seen[-1] + 1), taps[seen]


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


# A subclass may compute something else.
_REPLACED: dict[type, type[keras.layers.Layer]] = {
    keras.layers.BatchNormalization: BatchNormalization,
    keras.layers.Conv2D: Convolution,
}


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
    copy.set_weights(model.get_weights())
    return copy


def _clone(layer: keras.layers.Layer) -> keras.layers.Layer:
    kind = _REPLACED.get(type(layer), type(layer))
    return kind.from_config(layer.get_config())
