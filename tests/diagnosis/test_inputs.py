"""What may be passed as images, and what makes a diagnosis impossible."""

import numpy as np
import pytest
import tensorflow as tf

from normtest_tf import errors
from normtest_tf.diagnosis import inputs
from normtest_tf.normalization import IMAGENET, ChannelStatistics


@pytest.mark.parametrize("batch", [None, 5])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_data_sets_are_read_as_arrays_are(images, batch, dtype):
    labels = np.arange(len(images)) % 3
    dataset = tf.data.Dataset.from_tensor_slices((images.astype(dtype), labels))
    dataset = dataset if batch is None else dataset.batch(batch)
    found, classes = inputs.collect(dataset, examples=7)
    expected, numbers = inputs.collect(images, labels, examples=7)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(classes, numbers)
    assert found.dtype == np.uint8
    assert len(found) == len(classes) == 7
    assert inputs.collect(dataset.map(lambda image, _: image))[1] is None


def test_one_hot_labels_are_classes(images):
    labels = np.arange(len(images)) % 3
    _, classes = inputs.collect(images, np.eye(3)[labels])
    np.testing.assert_array_equal(classes, labels)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros([2, 8, 8], "uint8"), r"Received: shape \[2, 8, 8\]"),
        (np.zeros([0, 8, 8, 3], "uint8"), "n at least 1"),
        (np.full([2, 8, 8, 3], 0.5, "float32"), "not yet normalised"),
        (np.full([2, 8, 8, 3], np.nan, "float32"), "not finite"),
        (np.ones([2, 8, 8, 3], "float32"), "multiply them by 255"),
        (3, "Received: int"),
        ([], "Received: no images"),
    ],
)
def test_other_images_are_refused(value, words):
    with pytest.raises(errors.UsageError, match=words):
        inputs.collect(value)


def test_wrong_labels_are_refused(images):
    with pytest.raises(errors.UsageError, match=r"each of the 12 images.*\[3\]"):
        inputs.collect(images, np.arange(3))
    with pytest.raises(errors.UsageError, match="one class number"):
        inputs.collect(images, np.linspace(0, 1, 12))


def test_batches_of_large_images_are_small():
    assert inputs.batch_size_for((32, 32, 3), 256) == 256
    assert inputs.batch_size_for((224, 224, 3), 256) == 10
    assert inputs.batch_size_for((4000, 4000, 3), 256) == 4
    assert inputs.batch_size_for((4000, 4000, 3), 2) == 2


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        ((123.7, 116.8, 103.9), (58.4, 57.1, 57.4), "divide by 255"),
        ((0.5, 0.5, np.nan), (0.2, 0.2, 0.2), "finite"),
        ((0.5, 0.5, 0.5), (0.2, 0.0, 0.2), "above 0"),
        ((0.5, 0.5), (0.2, 0.2), "three channels"),
    ],
)
def test_impossible_statistics_are_refused(mean, std, words):
    with pytest.raises(errors.UsageError, match=words):
        inputs.check_statistics(ChannelStatistics(mean, std, "fixed", "a test"))


def test_statistics_that_contradict_the_images_are_noted():
    def notes(mean, std, name="pretrain"):
        return inputs.note_on_inputs(name, np.array(mean), np.array(std), "pretrain")

    assert notes([0.1, 0.2, -0.3], [1.1, 0.9, 0.5]) == []
    assert "contradict the images" in notes([0.0, 3.5, 0.0], [1, 1, 1])[0]
    assert "contradict the images" in notes([0, 0, 0], [1, 0.1, 1])[0]
    assert "contradict the images" in notes([0, 0, 0], [1, 6.0, 1])[0]
    assert notes([120, 120, 120], [60, 60, 60], "minmax") == []  # As it is meant.


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


def test_one_image_and_equal_images_are_refused(images):
    with pytest.raises(errors.UsageError, match=r"at least 2.*Received: 1"):
        inputs.check_images(images[:1])
    with pytest.raises(errors.UsageError, match="Received: 3 equal ones"):
        inputs.check_images(np.repeat(images[:1], 3, axis=0))
    inputs.check_statistics(IMAGENET)


def _raises(image):
    raise RuntimeError("no such image")


def _sets(images):
    dataset = tf.data.Dataset.from_tensor_slices
    return {
        "dictionaries": dataset({"image": images, "label": np.arange(len(images))}),
        "mapped": dataset(images).map(
            lambda image: tf.py_function(_raises, [image], tf.uint8)
        ),
        "names": dataset(["a.png", "b.png"]),
        "path": "folder/images",
        "bool": images > 100,
    }


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("dictionaries", "dictionaries with 'image', 'label'; map them"),
        ("mapped", "can't read the data set of images.*no such image"),
        ("names", r"must yield RGB images.*shape \[\]"),
        ("path", "Received: str"),
        ("bool", "Received: bool"),
    ],
)
def test_mistakes_in_images_are_told_in_one_line(images, kind, words):
    with pytest.raises(errors.UsageError, match=words) as raised:
        inputs.collect(_sets(images)[kind])
    assert "\n" not in str(raised.value)


def test_labels_of_another_number_are_refused_however_few_are_used(images):
    for number in (3, 5, 13):
        with pytest.raises(errors.UsageError, match="each of the 12 images"):
            inputs.collect(images, np.arange(number), examples=3)
        with pytest.raises(errors.UsageError, match="each of the 12 images"):
            inputs.collect(list(images), np.arange(number), examples=3)
    found, labels = inputs.collect(list(images), list(range(12)), examples=3)
    np.testing.assert_array_equal(found, images[:3])
    np.testing.assert_array_equal(labels, [0, 1, 2])


def test_labels_that_are_no_numbers_are_refused(images):
    dataset = tf.data.Dataset.from_tensor_slices(np.arange(12))
    for labels in (["cat"] * 12, dataset, [[1], [1, 2]]):
        with pytest.raises(errors.UsageError, match="must be class numbers"):
            inputs.collect(images, labels)
    with pytest.raises(errors.UsageError, match=r"must yield \(image, label\)"):
        inputs.collect(tf.data.Dataset.from_tensor_slices(images), np.arange(12))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((-1, 2, "rgb"), "examples must be a whole number, at least 1"),
        ((2.5, 2, "rgb"), "examples must be a whole number"),
        ((True, 2, "rgb"), "examples must be a whole number"),
        ((1, 1, "rgb"), "batch_size must be a whole number, at least 2"),
        ((1, 2, "RGB"), "Received: 'RGB'"),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(errors.UsageError, match=words):
        inputs.check_options(*options)
    inputs.check_options(1, 2, "bgr")


def test_names_of_settings():
    assert inputs.names_of("finetune") == ["pretrain", "finetune"]
    assert inputs.names_of([]) == ["pretrain"]
    assert "finetune_folded" not in inputs.names_of(None)
    with pytest.raises(errors.UsageError, match="changes the network"):
        inputs.names_of(["finetune_folded"])
    with pytest.raises(errors.UsageError, match="Received: str"):
        inputs.check_statistics("imagenet")
