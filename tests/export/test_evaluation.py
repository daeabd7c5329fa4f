"""Accuracy on labelled images, and models behind another normalization."""

import dataclasses
import types

import numpy as np
import pytest

from normtest_tf import errors
from normtest_tf.backbones.registry import CAFFE
from normtest_tf.export import evaluation, prediction
from normtest_tf.normalization import SETTINGS, normalization_layer
from tests.export.helpers import IMAGES, NAMES, SHAPE, build, outputs, small_model


def of_first_pixel(images):
    """Takes the red of an image's first pixel for its class."""
    return np.eye(3)[images[:, 0, 0, 0]]


STUB = types.SimpleNamespace(class_names=["a", "b", "c"], probabilities=of_first_pixel)
PIXELS = np.zeros([300, 2, 2, 3], np.uint8)
PIXELS[:200, ..., 0], PIXELS[:, ..., 2] = 1, 2


def test_images_are_counted_by_true_and_predicted_class():
    labels = np.repeat([0, 1], 150)  # b and a: 150 b, then 150 a.
    found = evaluation.evaluate(STUB, PIXELS, labels, ["b", "a", "unseen"])
    assert found.counts.tolist() == [[100, 50, 0], [0, 150, 0], [0, 0, 0]]
    values = found.to_json()
    assert (values["accuracy"], values["images"]) == (250 / 300, 300)
    # Wilson's interval is where (p - x)^2 = z^2 x (1 - x) / n.
    for limit in values["interval"]:
        square = 1.959963985**2 * limit * (1 - limit) / 300
        assert (250 / 300 - limit) ** 2 == pytest.approx(square, rel=1e-6)
    assert [one["accuracy"] for one in values["per_class"]] == [100 / 150, 1]
    swapped = evaluation.evaluate(STUB, PIXELS, labels, ["b", "a"], swap_channels=True)
    assert swapped.counts.tolist() == [[0, 0, 150], [0, 0, 150], [0, 0, 0]]


def test_a_class_that_the_model_lacks_is_refused():
    with pytest.raises(errors.UsageError, match=r"no class dog\. .* a, b, c"):
        evaluation.evaluate(STUB, PIXELS[:3], np.array([0, 1, 0]), ["a", "dog"])


@pytest.mark.parametrize("name", ["instance", "pretrain"])
def test_a_model_behind_another_normalization_is_as_one_built_with_it(name):
    setting = SETTINGS[name]
    statistics = None if name == "instance" else CAFFE
    wanted = build(setting.layer(statistics, SHAPE, "bgr"))
    former = build(normalization_layer(CAFFE, SHAPE, "bgr"))
    for model in (small_model(), former):
        classifier = prediction.Classifier(model, NAMES, has_softmax=False)
        changed = evaluation.renormalised(classifier, setting, statistics, "bgr")
        np.testing.assert_array_equal(outputs(changed.model), outputs(wanted))
        assert dataclasses.replace(changed, model=model) == classifier
    assert abs(outputs(wanted) - outputs(small_model(), IMAGES)).max() > 0.01
