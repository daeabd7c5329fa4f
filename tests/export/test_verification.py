"""An export is kept only if it computes what the run's model computes."""

import keras
import numpy as np
import pytest

from normtest_tf.export import ExportError, prediction, verification, writers
from tests.export.helpers import (
    FORMAT_NAMES,
    IMAGES,
    SHAPE,
    assert_close,
    description,
    export_path,
    outputs,
    small_model,
)


@pytest.mark.parametrize("format_name", FORMAT_NAMES)
def test_probabilities_of_a_mixed_precision_run_are_exported(format_name, tmp_path):
    path = export_path(tmp_path, "mine", format_name)
    # More than one batch of `runtimes`.
    compared_on = verification.random_images(SHAPE, 33)
    deviation = verification.export(
        small_model("mixed_bfloat16"),
        path,
        format_name,
        description("probabilities", "mixed_bfloat16"),
        compared_on,
    )
    assert deviation.images == 33
    assert deviation.relative <= 1e-5
    assert deviation.largest <= 1
    assert list(tmp_path.iterdir()) == [path]


def test_mixed_precision_is_compared_with_float32():
    precision = "mixed_bfloat16"
    mixed, full = small_model(precision), small_model()
    logits = verification.expected(mixed, "logits", precision, IMAGES)
    assert_close(logits.astype("float32"), outputs(full))
    rows = verification.expected(mixed, "probabilities", precision, IMAGES)
    assert_close(rows.astype("float32"), prediction.softmax(outputs(full)))
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-6)


def test_an_export_that_differs_is_not_kept(tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    path.write_text("an earlier export")

    def wrong(model, output):
        changed = keras.models.clone_model(model)
        changed.set_weights([weight * 1.001 for weight in model.get_weights()])
        return changed

    monkeypatch.setattr(writers, "build", wrong)
    with pytest.raises(ExportError, match="does not match the run's model"):
        verification.export(small_model(), path, "keras", description(), IMAGES)
    assert path.read_text() == "an earlier export"
    assert list(tmp_path.iterdir()) == [path]


def test_an_export_that_does_not_run_says_why(tmp_path):
    (tmp_path / "model.keras").write_text("nothing")
    with pytest.raises(ExportError, match=r"can't be run .*model\.keras"):
        verification.reload("keras", tmp_path / "model.keras", IMAGES)


@pytest.mark.parametrize(
    ("received", "words"),
    [
        (np.zeros([2, 3], "float64"), "float64"),
        (np.zeros([2, 4], "float32"), r"\(2, 4\)"),
    ],
)
def test_outputs_of_another_kind_are_refused(received, words):
    with pytest.raises(ExportError, match=words):
        verification.compare(received, np.ones([2, 3]))


def test_a_deviation_counts_and_measures():
    target = np.array([[1.0, 2.0], [4.0, 3.0], [0.0, 1.0]])
    received = np.array([[1.0, 2.0], [3.0, 3.5], [0.0, 1.0]], "float32")
    deviation = verification.compare(received, target)
    assert deviation == verification.Deviation(
        images=3, difference=1.0, largest=4.0, disagreements=1
    )
    assert deviation.relative == 0.25
    assert not deviation.is_tolerable
    assert "on 3 images; 1 of them with a different top output" in str(deviation)


def test_nan_is_not_tolerable():
    received = np.full([2, 3], np.nan, "float32")
    assert not verification.compare(received, np.ones([2, 3])).is_tolerable


def test_random_images_are_the_same_in_every_call_and_have_all_pixel_values():
    pixels = verification.random_images((16, 24, 3), 8)
    assert pixels.shape == (8, 16, 24, 3)
    assert pixels.dtype == np.uint8
    assert len(np.unique(pixels)) == 256
    again = verification.random_images((16, 24, 3), 8)
    np.testing.assert_array_equal(pixels, again)
