"""Convolutions of small maps, computed as the matrix products that they are.

Libraries make convolutions fast for maps of many pixels. At 32x32, the last stages of
networks for ImageNet have maps of 2x2 and 1x1 pixels, where a padded 3x3 kernel
touches four of its nine taps or a single one, and the others cost time to multiply
zeros. The same function is one product of the flattened map with a matrix of taps:

- a kernel of 1x1 and stride 1, at any size of the map: each pixel is multiplied with
  the kernel;
- a map so small that every output sees every input: as many multiplications as taps
  touch pixels, and none of a zero.

On larger maps such a matrix would be mostly zeros; they are left to the library.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

Border = tuple[tuple[int, int], tuple[int, int]]  # (top, bottom), (left, right)
NO_BORDER: Border = ((0, 0), (0, 0))


class Joints(NamedTuple):
    """How a kernel joins inputs and outputs along one axis, each input to each output.

    Attributes:
        seen: The inputs that are seen.
        taps: int `[inputs seen, outputs]`, the index of the tap that joins them.
    """

    seen: slice
    taps: np.ndarray


class Convolution(keras.layers.Conv2D):
    """A 2-D convolution that is a matrix product where that is faster.

    Arguments, variables and outputs are those of `keras.layers.Conv2D`, up to rounding.
    The gradient of taps that only ever see padding is exactly zero.

    Attributes:
        border: The rows and columns at the inputs' edges that are known to be zero;
            None for no inputs yet.
    """

    border: Border | None = None

    def add_border(self, border: Border) -> None:
        """Says which edges of the inputs are zero, for each use of a shared layer.

        Args:
            border: Rows above and below, columns to the left and right.
        """
        self.border = border if self.border in (None, border) else NO_BORDER

    def convolution_op(
        self, inputs: keras.KerasTensor, kernel: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Applies the kernel, without bias and activation.

        Args:
            inputs: `[n, height, width, channels]`.
            kernel: `[kernel height, kernel width, channels, filters]`.

        Returns:
            `[n, output height, output width, filters]`.
        """
        if not self._is_plain() or None in inputs.shape[1:]:
            return super().convolution_op(inputs, kernel)
        shape = self.compute_output_shape(inputs.shape)[1:]
        if self.kernel_size == self.strides == (1, 1):
            return _product(inputs, ops.reshape(kernel, kernel.shape[2:]), shape)
        rows, columns = (self._joints(i, inputs.shape[i + 1], shape[i]) for i in (0, 1))
        if rows is None or columns is None:
            return super().convolution_op(inputs, kernel)
        seen = inputs[:, rows.seen, columns.seen]
        return _product(seen, _matrix(kernel, rows.taps, columns.taps), shape)

    def _is_plain(self) -> bool:
        """Tells whether this layer has no option that is left to Keras."""
        return (
            self.data_format == "channels_last"
            and self.groups == 1
            and tuple(self.dilation_rate) == (1, 1)
            and self.padding in ("same", "valid")
        )

    def taps(self, axis: int, inputs: int, outputs: int) -> np.ndarray:
        """Returns which tap joins each input to each output along one axis.

        Args:
            axis: 0 for rows, 1 for columns.
            inputs: Inputs along it, with the border.
            outputs: Outputs along it.

        Returns:
            int `[inputs inside the border, outputs]`, the tap's index. Where it is
            negative, or not below the kernel's size, they are not joined.
        """
        size, stride = self.kernel_size[axis], self.strides[axis]
        before, after = (self.border or NO_BORDER)[axis]
        padding = 0
        if self.padding == "same":
            padding = max((outputs - 1) * stride + size - inputs, 0) // 2
        inside = np.arange(before, inputs - after)[:, np.newaxis]
        return inside + padding - stride * np.arange(outputs)

    def _joints(self, axis: int, inputs: int, outputs: int) -> Joints | None:
        """Returns what `taps` says of the inputs that are seen at all.

        Returns:
            None if some input is seen by one output and not by another.
        """
        taps = self.taps(axis, inputs, outputs)
        are_joined = (taps >= 0) & (taps < self.kernel_size[axis])
        seen = np.flatnonzero(are_joined.any(axis=1))
        if not seen.size or not are_joined[seen].all():
            return None
        before = (self.border or NO_BORDER)[axis][0]
        return Joints(slice(before + seen[0], before + seen[-1] + 1), taps[seen])


def _product(
    maps: keras.KerasTensor, matrix: keras.KerasTensor, shape: tuple[int, int, int]
) -> keras.KerasTensor:
    """Multiplies flattened maps, or each of their pixels, with a matrix.

    Args:
        maps: `[n, height, width, channels]`.
        matrix: `[inputs, outputs]`.
        shape: The outputs' height, width and filters.

    Returns:
        `[n, output height, output width, filters]`.
    """
    products = ops.matmul(ops.reshape(maps, [-1, matrix.shape[0]]), matrix)
    return ops.reshape(products, [-1, *shape])


def _matrix(
    kernel: keras.KerasTensor, rows: np.ndarray, columns: np.ndarray
) -> keras.KerasTensor:
    """Arranges a kernel's taps so that a flattened map can be multiplied with them.

    Args:
        kernel: `[kernel height, kernel width, channels, filters]`.
        rows: The row of the tap for each input row and output row.
        columns: Likewise, along the width.

    Returns:
        `[input rows * columns * channels, output rows * columns * filters]`.
    """
    height, width, channels, filters = kernel.shape
    # Taken apart and joined, not gathered: that has a fast and exact gradient.
    taps = ops.unstack(ops.reshape(kernel, [height * width, channels, filters]))
    index = rows[:, np.newaxis, :, np.newaxis] * width + columns[:, np.newaxis]
    index = index.reshape(len(rows) * len(columns), -1)
    lines = [ops.concatenate([taps[i] for i in line], axis=1) for line in index]
    return ops.concatenate(lines, axis=0)
