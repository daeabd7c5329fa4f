"""The digits: scikit-learn's images and split, enlarged to 32x32."""

import numpy as np
import pytest

from normtest_tf import datasets


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def test_the_digits_match_their_description(digits):
    description = datasets.DATASETS["digits"]
    assert digits.train_images.shape == (description.train_examples, 32, 32, 3)
    assert digits.test_images.shape == (description.test_examples, 32, 32, 3)
    assert digits.class_names == tuple("0123456789")
    assert (digits.train_images.min(), digits.train_images.max()) == (0, 255)


def test_the_digits_are_scikit_learns_in_its_split(digits):
    import sklearn.datasets
    import sklearn.model_selection

    data = sklearn.datasets.load_digits()
    train, test = sklearn.model_selection.train_test_split(
        np.arange(1797), test_size=500, random_state=0, stratify=data.target
    )
    np.testing.assert_array_equal(digits.train_labels, data.target[train])
    np.testing.assert_array_equal(digits.test_labels, data.target[test])
    # Averaged over 4x4 blocks, bilinear enlargement stays near the original.
    for images, indices in ((digits.train_images, train), (digits.test_images, test)):
        blocks = images[..., 0].reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4))
        original = data.images[indices] * 255 / 16
        correlation = [
            np.corrcoef(block.ravel(), image.ravel())[0, 1]
            for block, image in zip(blocks, original, strict=True)
        ]
        assert min(correlation) > 0.9


def test_the_digits_are_grey_and_their_splits_stratified_and_disjoint(digits):
    shares = np.bincount(digits.test_labels) / np.bincount(
        np.concatenate([digits.train_labels, digits.test_labels])
    )
    assert np.ptp(shares) < 0.01
    assert np.all(digits.train_images == digits.train_images[..., :1])
    train = {image.tobytes() for image in digits.train_images}
    test = {image.tobytes() for image in digits.test_images}
    assert len(train) == 1297
    assert len(test) == 500
    assert not train & test
