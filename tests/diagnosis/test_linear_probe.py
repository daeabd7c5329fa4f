"""The closed form, against a classifier fitted again for every image left out."""

import numpy as np
import pytest

from normtest_tf.diagnosis import linear_probe


def refitted(features, targets, penalty):
    """Leave-one-out predictions by n fits of normal equations with an intercept."""
    predicted = np.empty_like(targets)
    for out in range(len(features)):
        kept = np.arange(len(features)) != out
        x, y = features[kept], targets[kept]
        centre = x.mean(0)
        gram = (x - centre).T @ (x - centre) + penalty * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, (x - centre).T @ (y - y.mean(0)))
        predicted[out] = y.mean(0) + (features[out] - centre) @ weights
    return predicted


@pytest.mark.parametrize(("n", "width"), [(15, 4), (9, 30)])
@pytest.mark.parametrize("penalty", [0.01, 3.0])
def test_predictions_are_those_of_refitting(n, width, penalty):
    rng = np.random.default_rng(n)
    features = rng.normal(size=(n, width)) + 5
    targets = np.eye(3)[rng.integers(0, 3, n)]
    found = linear_probe.predictions(*linear_probe.eigen(features), targets, penalty)
    expected = refitted(features, targets, penalty)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)  # Some are 0.


def test_classes_that_can_be_told_apart_are():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60) * 7  # Any numbers.
    features = rng.normal(size=(60, 10)) + 8 * np.eye(10)[labels // 7]
    assert linear_probe.probe(features, labels).all()
    noise = linear_probe.probe(rng.normal(size=(60, 10)), labels)
    assert noise.mean() < 0.6  # In-sample, 10 features would fit better.
    assert linear_probe.probe(np.ones([60, 10]), labels).mean() < 0.6


def test_a_paired_difference_by_hand():
    one, other = np.array([[True, True, True, False], [True, False, False, False]])
    found = linear_probe.compare(one, other)
    assert found.points == 50
    assert found.error == pytest.approx(100 * np.std([0, 1, 1, 0], ddof=1) / 2)
