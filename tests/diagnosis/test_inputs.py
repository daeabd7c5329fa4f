"""What may be passed as images, and what makes a diagnosis impossible or doubtful."""

import numpy as np
import pytest
import tensorflow as tf

from normtest_tf import errors, normalization
from normtest_tf.diagnosis import inputs
from normtest_tf.normalization import IMAGENET


@pytest.mark.parametrize("batch", [None, 5])
@pytest.mark.parametrize(("dtype", "one_hot"), [("float32", False), ("uint8", True)])
def test_data_sets_are_read_as_arrays_are(images, batch, dtype, one_hot):
    labels = np.arange(len(images)) % 3
    given = np.eye(3)[labels] if one_hot else labels
    dataset = tf.data.Dataset.from_tensor_slices((images.astype(dtype), given))
    dataset = dataset if batch is None else dataset.batch(batch)
    for source in [(dataset,), (images, given)]:
        found, classes = inputs.collect(*source, examples=7)
        np.testing.assert_array_equal(found, images[:7])
        np.testing.assert_array_equal(classes, labels[:7])
        assert found.dtype == np.uint8
    assert inputs.collect(dataset.map(lambda image, _: image))[1] is None


def dataset(values):
    return tf.data.Dataset.from_tensor_slices(values)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda images: np.zeros([2, 8, 8], "uint8"), r"shape \[2, 8, 8\]"),
        (lambda images: images[:1], "all the same"),
        (lambda images: images / 255, "float64 from .* to"),
        (lambda images: np.full([2, 8, 8, 3], np.nan), "from nan"),
        (lambda images: images.astype(int) - 1, "int64 from -1"),
        (lambda images: "folder/images", "str"),
        (lambda images: dataset(["a.png", "b.png"]), "Dataset"),
    ],
)
def test_other_images_are_refused_in_one_line(images, make, words):
    with pytest.raises(errors.UsageError, match=f"images must be.*{words}") as refusal:
        inputs.collect(make(images))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "labels", [np.arange(3), np.arange(13), np.linspace(0, 1, 12), ["cat"] * 12]
)
def test_other_labels_are_refused_however_few_are_used(images, labels):
    with pytest.raises(errors.UsageError, match="each of the 12 images"):
        inputs.collect(images, labels, examples=3)
    with pytest.raises(errors.UsageError, match=r"must yield \(image, label\)"):
        inputs.collect(dataset(images), labels)


@pytest.mark.parametrize(
    ("side", "count", "sizes"),
    [(32, 257, [256, 1]), (224, 11, [10, 1]), (800, 5, [4, 1])],
)
def test_batches_of_large_images_are_small(side, count, sizes):
    images = np.broadcast_to(np.uint8(0), [count, side, side, 3])
    assert [len(batch) for batch in inputs.batches(images)] == sizes


def test_what_limits_a_diagnosis_is_noted(images):
    grey = np.repeat(images[..., :1], 3, axis=-1)
    labels = np.arange(12) % 2

    def notes(images, labels=labels, layers=("bn",), preprocessing=()):
        return "; ".join(inputs.notes_on(layers, images, labels, preprocessing))

    assert "only 12 images" in notes(images)
    assert "are grey" in notes(grey)
    assert "no linear probe, which needs" in notes(images, None)
    assert inputs.collect(images, labels * 0)[1] is None
    assert "no batch normalization" in notes(images, layers=())
    assert "itself, in 'x' and 'y'," in notes(images, preprocessing=["'x'", "'y'"])
    assert "linear probe" not in notes(images)


def test_settings_are_named_or_given():
    mine = normalization.given(IMAGENET)
    found = inputs.settings_of(["gray", "pretrain", mine])
    assert [x.name for x in found] == ["pretrain", "finetune", "gray", "given"]
    assert found[-1] is mine
    with pytest.raises(errors.UsageError, match="changes the network"):
        inputs.settings_of(["finetune_folded"])
