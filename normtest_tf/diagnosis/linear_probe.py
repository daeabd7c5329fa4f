"""How well a linear classifier of frozen features does, without training one.

Ridge regression on the classes has a closed form, and so have its predictions for every
image by the classifier that was fitted to all others. With features that a frozen
backbone gives, that is the nearest thing to `--train=head` that takes no time.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from normtest_tf import errors

# Penalties tried, as shares of the features' mean eigenvalue.
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclasses.dataclass(frozen=True)
class Probed:
    """Leave-one-out predictions of a linear classifier.

    Attributes:
        correct: bool `[n]`, for each image whether the others' classifier was right.
        penalty: The ridge's penalty.
    """

    correct: np.ndarray
    penalty: float

    @property
    def accuracy(self) -> float:
        """The share of correct predictions, in percent."""
        return 100 * float(np.mean(self.correct))


@dataclasses.dataclass(frozen=True)
class Paired:
    """A difference between two accuracies on the same images, in points.

    Attributes:
        points: The first's minus the second's.
        error: Its standard error, from the images' differences.
    """

    points: float
    error: float


def probe(features: np.ndarray, labels: np.ndarray) -> Probed:
    """Predicts each image's class `[n]` from the other images' features.

    The penalty is the one with the smallest squared error, also leave-one-out.
    `UsageError` says why that is impossible.
    """
    classes, places = np.unique(labels, return_inverse=True)
    if len(labels) < 3 or len(classes) < 2:
        raise errors.UsageError(
            "a linear classifier needs at least 3 images of 2 classes. Received: "
            f"{len(labels)} of {len(classes)}"
        )
    targets = np.eye(len(classes))[places]
    values, vectors = eigen(features)
    if not values[-1] > 0:
        raise errors.UsageError("the features are the same for all images")
    mean = float(values.sum() / len(labels))
    tried = [
        (predictions(values, vectors, targets, share * mean), share * mean)
        for share in PENALTIES
    ]
    best, penalty = min(tried, key=lambda pair: np.square(pair[0] - targets).sum())
    return Probed(best.argmax(axis=1) == places, penalty)


def eigen(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns eigenvalues `[n]` and vectors of the products of centred features."""
    centred = features - features.mean(axis=0)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    return np.maximum(values, 0.0), vectors


def predictions(
    values: np.ndarray, vectors: np.ndarray, targets: np.ndarray, penalty: float
) -> np.ndarray:
    """Predicts every row of `targets` by the ridge regression fitted to all others.

    The penalty is on the squared weights, not on the intercept.
    """
    mean = targets.mean(axis=0)
    shrunk = values / (values + penalty)
    fitted = mean + (vectors * shrunk) @ (vectors.T @ (targets - mean))
    leverage = 1 / len(targets) + np.square(vectors) @ shrunk
    residuals = (targets - fitted) / (1 - leverage)[:, None]
    return targets - residuals


def compare(one: Probed, other: Probed) -> Paired:
    """Returns the difference of two accuracies on the same images."""
    differences = 100 * (one.correct.astype(float) - other.correct)
    error = np.std(differences, ddof=1) / np.sqrt(len(differences))
    return Paired(float(differences.mean()), float(error))
