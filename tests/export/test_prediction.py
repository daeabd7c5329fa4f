"""Loading a model, and classifying image files with it."""

import numpy as np
import PIL.Image
import pytest
import scipy.special

from normtest_tf import errors
from normtest_tf.datasets import images
from normtest_tf.export import prediction, writers
from normtest_tf.normalization import normalization_layer
from normtest_tf.runs import metadata, model_file
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
    model_file.save(small_model(), path, description() | values)
    return path


def test_a_folder_its_model_and_exports_classify_alike(tmp_path):
    resize = "crop"
    folder = write_run(tmp_path, model=small_model(), resize=resize)
    image = {"image": {"resize": resize}}
    export = save_with_metadata(tmp_path / "export.keras", **image)
    logits = outputs(small_model()).astype("float64")
    target = scipy.special.softmax(logits, axis=1)
    gradient = PIL.Image.linear_gradient("L").crop((0, 0, 200, 50)).convert("RGB")
    gradient.save(tmp_path / "wide.png")
    resized = images.resized(np.asarray(gradient), SHAPE[:2], resize)
    copied, former = tmp_path / "copy.keras", write_run(tmp_path / "a", resize=resize)
    copied.write_bytes(folder.model.read_bytes())
    small_model().save(former.model)  # As version 0.2.0 did.
    unpacked = tmp_path / "keras_folder"
    described = metadata.describe_run(folder)
    writers.write(small_model(), unpacked, "keras_folder", described)
    assert "library_name: keras" in (unpacked / "README.md").read_text("utf-8")
    for path in (folder.path, copied, export, former.path, former.model, unpacked):
        classifier = prediction.load(path)
        assert classifier.class_names == NAMES
        received = classifier.probabilities(IMAGES)
        np.testing.assert_allclose(received, target, rtol=1e-4)
        np.testing.assert_allclose(received.sum(axis=1), 1, rtol=1e-12)
        # Images are resized as in training.
        pixels, note = classifier.read(tmp_path / "wide.png")
        np.testing.assert_array_equal(pixels, resized)
        assert note == "resized from 200x50 to 24x16"


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


def test_a_model_that_computes_features_is_refused(tmp_path):
    path = save_with_metadata(tmp_path / "f.keras", output="features")
    with pytest.raises(errors.UsageError, match="computes features"):
        prediction.load(path)


def test_a_file_without_metadata_or_a_damaged_one_is_refused(tmp_path):
    path = write_run(tmp_path).path / "copy.keras"  # Beside another run.
    small_model().save(path)
    with pytest.raises(errors.UsageError, match="does not say what its classes are"):
        prediction.load(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    for stored in (content, content[:-9], b""):
        path.write_bytes(stored)
        with pytest.raises(errors.UsageError, match=r"can't load .*again"):
            prediction.load_model(path)
