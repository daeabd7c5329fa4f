"""Images that stay in their files: decoded whenever they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import decoding
from normtest_tf.normalization import statistics

BLOCK = 64  # Images decoded at a time.


class StreamedImages:
    """Images used like an array, uint8 `[n, height, width, 3]`, but not kept.

    Args:
        decode: Returns the image of an index, uint8 `[height, width, 3]`. It is called
            from several threads.
        indices: int64 `[n]`, which images these are, in order.
        image_shape: Height, width and 3 of every image.
        counts: From `channel_counts`, if known.
    """

    def __init__(
        self,
        decode: Callable[[int], np.ndarray],
        indices: np.ndarray,
        image_shape: tuple[int, int, int],
        counts: np.ndarray | None = None,
    ) -> None:
        self._decode = decode
        self._indices = indices
        self._image_shape = image_shape
        self._counts = counts
        self.failure: errors.UsageError | None = None

    @property
    def dtype(self) -> np.dtype:
        """Always uint8."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of images, height, width and 3."""
        return (len(self._indices), *self._image_shape)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, chosen: slice | np.ndarray) -> StreamedImages:
        """Returns some of the images, as a slice or an index of an array does."""
        return StreamedImages(self._decode, self._indices[chosen], self._image_shape)

    def changed(self, change: Callable[[np.ndarray], np.ndarray]) -> StreamedImages:
        """Returns the same images, changed after they have been decoded.

        Args:
            change: From an image, uint8 `[height, width, 3]`, to another of its shape;
                called from several threads.
        """
        return StreamedImages(
            lambda index: change(self._decode(index)), self._indices, self._image_shape
        )

    def __array__(
        self, dtype: np.dtype | None = None, copy: bool | None = None
    ) -> np.ndarray:
        """Decodes all images."""
        return self.read(np.arange(len(self))).astype(dtype or self.dtype, copy=False)

    def read(self, positions: np.ndarray) -> np.ndarray:
        """Decodes a batch of images.

        Args:
            positions: int `[b]`, from 0 to n - 1.

        Returns:
            uint8 `[b, height, width, 3]`.

        Raises:
            UsageError: If a file can't be read any more; it is kept as `failure`, too,
                for callers whose exceptions TensorFlow replaces.
        """
        batch = np.empty([len(positions), *self._image_shape], np.uint8)
        try:
            for row, index in enumerate(self._indices[positions].tolist()):
                batch[row] = self._checked(self._decode(index))
        except errors.UsageError as error:
            self.failure = error
            raise
        return batch

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields all images in order, a few at a time, decoded on all cores."""
        block: list[np.ndarray] = []
        images = decoding.map_in_threads(self._decode, self._indices.tolist())
        for image in images:
            block.append(self._checked(image))
            if len(block) == BLOCK:
                yield np.stack(block)
                block.clear()
        if block:
            yield np.stack(block)

    def channel_counts(self) -> np.ndarray:
        """Counts the values of each channel; decodes all images, but only once.

        Returns:
            int64 `[3, 256]`.
        """
        if self._counts is None:
            counts = (statistics.channel_counts(block) for block in self.blocks())
            self._counts = sum(counts, np.zeros([3, 256], np.int64))
        return self._counts

    def _checked(self, image: np.ndarray) -> np.ndarray:
        if image.shape != self._image_shape:
            height, width, _ = image.shape
            raise errors.UsageError(
                f"an image has become {width}x{height} since the data set was read; "
                "don't change images while a run reads them"
            )
        return image
