"""Loading a model, and classifying image files with it."""

import keras
import numpy as np
import PIL.Image
import pytest

from normtest_tf import errors
from normtest_tf.datasets import images
from normtest_tf.export import metadata, prediction
from normtest_tf.normalization import normalization_layer
from tests.export.helpers import (
    IMAGES,
    NAMES,
    SHAPE,
    STATISTICS,
    build,
    description,
    outputs,
    small_model,
    write_run,
)


def save_with_metadata(path, **values):
    small_model().save(path)
    metadata.append_to_archive(path, description() | values)
    return path


def test_a_folder_its_model_and_an_export_classify_alike(tmp_path):
    folder = write_run(tmp_path, model=small_model())
    export = save_with_metadata(tmp_path / "export.keras")
    target = prediction.softmax(outputs(small_model()).astype("float64"))
    for path in (folder.path, folder.model, export):
        classifier = prediction.load(path)
        assert classifier.class_names == NAMES
        assert classifier.image_size == SHAPE[:2]
        received = classifier.probabilities(IMAGES)
        np.testing.assert_allclose(received, target, rtol=1e-4)
        np.testing.assert_allclose(received.sum(axis=1), 1, rtol=1e-12)


def test_an_export_of_probabilities_gets_no_second_softmax(tmp_path):
    path = save_with_metadata(tmp_path / "a.keras", output="probabilities")
    loaded = prediction.load(path)
    np.testing.assert_array_equal(
        loaded.probabilities(IMAGES), loaded.model.predict(IMAGES, verbose=0)
    )


def test_outputs_that_are_not_finite_are_refused():
    model = build(normalization_layer(STATISTICS, SHAPE))
    model.set_weights([np.full(w.shape, np.nan) for w in model.get_weights()])
    classifier = prediction.Classifier(model, NAMES, has_softmax=False)
    with pytest.raises(errors.UsageError, match="not finite"):
        classifier.probabilities(IMAGES)


def test_a_model_without_names_has_numbers(tmp_path):
    small_model().save(tmp_path / "model.keras")
    assert prediction.load(tmp_path / "model.keras").class_names == list("0123")


def test_the_most_likely_classes_come_first():
    classifier = prediction.Classifier(None, NAMES, has_softmax=True)
    row = np.array([0.125, 0.5, 0.0625, 0.3125])
    assert classifier.top(row, 2) == "bee 50.0%, dög 31.2%"
    assert classifier.top(row, 9).endswith("cat 6.2%")


def test_an_image_of_another_size_is_resized_with_a_note(tmp_path):
    classifier = prediction.Classifier(small_model(), NAMES, has_softmax=False)
    PIL.Image.fromarray(IMAGES[0]).save(tmp_path / "right.png")
    pixels, note = classifier.read(tmp_path / "right.png")
    np.testing.assert_array_equal(pixels, IMAGES[0])
    assert note == ""
    PIL.Image.new("RGB", (30, 40), "red").save(tmp_path / "large.png")
    pixels, note = classifier.read(tmp_path / "large.png")
    np.testing.assert_array_equal(pixels, np.full(SHAPE, [255, 0, 0]))
    assert note == "resized from 30x40 to 24x16"


def test_models_that_do_not_classify_images_are_refused(tmp_path):
    path = save_with_metadata(tmp_path / "f.keras", output="features")
    with pytest.raises(errors.UsageError, match="computes features"):
        prediction.load(path)
    inputs = keras.Input((7,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "dense.keras")
    with pytest.raises(errors.UsageError, match="not a classifier of RGB images"):
        prediction.load(tmp_path / "dense.keras")


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_images_are_resized_as_in_training(tmp_path, resize):
    folder = write_run(tmp_path, model=small_model(), resize=resize)
    gradient = PIL.Image.linear_gradient("L").crop((0, 0, 200, 50)).convert("RGB")
    gradient.save(tmp_path / "wide.png")
    pixels, _ = prediction.load(folder.path).read(tmp_path / "wide.png")
    expected = images.resized(np.asarray(gradient), SHAPE[:2], resize)
    np.testing.assert_array_equal(pixels, expected)


def test_a_damaged_file_is_refused_in_one_line(tmp_path):
    path = tmp_path / "model.keras"
    small_model().save(path)
    content = path.read_bytes()
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    cut = [content[: int(kept * len(content))] for kept in (0, 0.1, 0.5, 0.999)]
    for stored in (*cut, b"<html></html>", changed):
        path.write_bytes(stored)
        with pytest.raises(errors.UsageError, match=r"can't load .*again") as refusal:
            prediction.load_model(path)
        assert "\n" not in str(refusal.value)
    for stored in cut:
        path.write_bytes(stored)
        with pytest.raises(errors.UsageError, match=r"can't read .*not a zip file"):
            metadata.find(path)
