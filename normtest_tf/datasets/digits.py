"""Scikit-learn's handwritten digits: 1797 real images that need no download."""

from __future__ import annotations

import numpy as np

from normtest_tf.datasets import images, loading
from normtest_tf.datasets.dataset import ImageDataset
from normtest_tf.datasets.loading import ReadingOptions
from normtest_tf.text import Notify

TEST_EXAMPLES = 500
SPLIT_SEED = 0
SIZE = 32
# A pixel counts the dark pixels in a 4x4 block of the scan: 0 to 16.
_MAX_VALUE = 16


def load(options: ReadingOptions, notify: Notify) -> ImageDataset:
    """Loads the digits as RGB images, in scikit-learn's stratified split."""
    import sklearn.datasets
    import sklearn.model_selection

    digits = sklearn.datasets.load_digits()
    parts = sklearn.model_selection.train_test_split(
        np.arange(len(digits.target)),
        test_size=TEST_EXAMPLES,
        random_state=SPLIT_SEED,
        stratify=digits.target,
    )
    grey = np.rint(digits.images * (255 / _MAX_VALUE)).astype(np.uint8)
    # Nearest neighbour would produce 4x4 blocks, whose edges no photograph has.
    pixels = [
        images.resized(np.repeat(image[..., np.newaxis], 3, axis=-1), SIZE)
        for image in grey
    ]
    size = options.image_size or SIZE

    def examples(part: np.ndarray) -> loading.Examples:
        return loading.Examples(
            [f"digit {index}" for index in part],
            digits.target[part].astype(np.int32),
            lambda position: images.resized(pixels[part[position]], size),
        )

    of_splits = list(map(examples, parts))
    return loading.assemble(
        "digits", "0123456789", of_splits, options, notify, "digits"
    )
