"""Scikit-learn's handwritten digits: 1797 real images that need no download."""

from __future__ import annotations

import numpy as np
import PIL.Image

from normtest_tf.datasets.catalogue import DATASETS
from normtest_tf.datasets.dataset import ImageDataset

TEST_EXAMPLES = 500
SPLIT_SEED = 0
# A pixel counts the dark pixels in a 4x4 block of the scan: 0 to 16.
_MAX_VALUE = 16


def load() -> ImageDataset:
    """Loads the digits as 32x32 RGB images, in scikit-learn's stratified split."""
    import sklearn.datasets
    import sklearn.model_selection

    digits = sklearn.datasets.load_digits()
    train_images, test_images, train_labels, test_labels = (
        sklearn.model_selection.train_test_split(
            _to_rgb(digits.images, DATASETS["digits"].image_size),
            digits.target.astype(np.int32),
            test_size=TEST_EXAMPLES,
            random_state=SPLIT_SEED,
            stratify=digits.target,
        )
    )
    return ImageDataset(
        "digits",
        train_images,
        train_labels,
        test_images,
        test_labels,
        DATASETS["digits"].class_names,
    )


def _to_rgb(images: np.ndarray, size: int) -> np.ndarray:
    """Turns values from 0 to 16, `[n, 8, 8]`, into uint8 `[n, size, size, 3]`.

    The interpolation is bilinear: nearest neighbour would produce 4x4 blocks, whose
    edges no photograph has and no pre-trained filter expects.
    """
    grey = np.rint(images * (255 / _MAX_VALUE)).astype(np.uint8)
    bilinear = PIL.Image.Resampling.BILINEAR
    enlarged = [
        np.asarray(PIL.Image.fromarray(image).resize((size, size), bilinear))
        for image in grey
    ]
    return np.repeat(np.stack(enlarged)[..., np.newaxis], 3, axis=-1)
