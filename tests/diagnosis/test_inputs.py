"""What may be passed as images, and what makes a diagnosis impossible or doubtful."""

import numpy as np
import pytest
import tensorflow as tf

from normtest_tf import errors
from normtest_tf.diagnosis import inputs
from normtest_tf.normalization import IMAGENET, ChannelStatistics


@pytest.mark.parametrize("batch", [None, 5])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("one_hot", [False, True])
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


def dataset(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays[0] if len(arrays) == 1 else arrays)


def raising(image):
    raise RuntimeError("no such image")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda images: np.zeros([2, 8, 8], "uint8"), r"shape \[2, 8, 8\]"),
        (lambda images: images[:0], r"shape \[0, 32"),
        (lambda images: images[:1], "all the same"),
        (lambda images: images[[0, 0, 0]], "3 that are all the same"),
        (lambda images: images / 255, "float64 from .* to"),
        (lambda images: np.full([2, 8, 8, 3], np.nan), "from nan"),
        (lambda images: images.astype(int) - 1, "int64 from -1"),
        (lambda images: images > 100, "bool"),
        (lambda images: 3, "int"),
        (lambda images: "folder/images", "str"),
        (lambda images: dataset({"image": images}), "Dataset"),
        (lambda images: dataset(["a.png", "b.png"]), "Dataset"),
        (
            lambda images: dataset(images).map(
                lambda image: tf.py_function(raising, [image], tf.uint8)
            ),
            "Dataset",
        ),
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


def test_labels_belong_to_an_array_or_into_the_data_set(images):
    with pytest.raises(errors.UsageError, match=r"must yield \(image, label\)"):
        inputs.collect(dataset(images), np.arange(12))


def test_batches_of_large_images_are_small():
    assert inputs.batch_size_for((32, 32, 3), 256) == 256
    assert inputs.batch_size_for((224, 224, 3), 256) == 10
    assert inputs.batch_size_for((4000, 4000, 3), 256) == 4
    assert inputs.batch_size_for((4000, 4000, 3), 2) == 2


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ((123.7, 116.8, 103.9), (58.4, 57.1, 57.4)),
        ((0.5, 0.5, np.nan), (0.2, 0.2, 0.2)),
        ((0.5, 0.5, 0.5), (0.2, 0.0, 0.2)),
        ((0.5, 0.5), (0.2, 0.2)),
    ],
)
def test_impossible_statistics_are_refused(mean, std):
    inputs.check_statistics(IMAGENET)
    with pytest.raises(errors.UsageError, match="three means and three stds above 0"):
        inputs.check_statistics(ChannelStatistics(mean, std, "fixed", "a test"))


def test_statistics_that_contradict_the_images_are_noted():
    def notes(mean, std):
        return inputs.notes_on_control(np.array(mean), np.array(std))

    assert notes([0.1, 0.2, -0.3], [1.1, 0.9, 0.5]) == []
    assert "contradict the images" in notes([0.0, 3.5, 0.0], [1, 1, 1])[0]
    assert "contradict the images" in notes([0, 0, 0], [1, 0.1, 1])[0]
    assert "contradict the images" in notes([0, 0, 0], [1, 6.0, 1])[0]


def test_what_limits_a_diagnosis_is_noted(images):
    dark = images.copy()
    dark[..., 2] = 7
    grey = np.repeat(images[..., :1], 3, axis=-1)
    layers, labels = ("bn",), np.zeros(12)
    text = "; ".join(inputs.notes_on(layers, dark, labels))
    assert "only 12 images" in text
    assert "constant over all images: blue" in text
    assert "are grey" in "; ".join(inputs.notes_on(layers, grey, labels))
    assert "no labels" in "; ".join(inputs.notes_on(layers, images, None))
    assert "no batch normalization" in "; ".join(inputs.notes_on((), images, labels))


def test_names_of_settings():
    assert inputs.names_of("finetune") == ["pretrain", "finetune"]
    assert inputs.names_of([]) == ["pretrain"]
    assert "finetune_folded" not in inputs.names_of(None)
    with pytest.raises(errors.UsageError, match="changes the network"):
        inputs.names_of(["finetune_folded"])
