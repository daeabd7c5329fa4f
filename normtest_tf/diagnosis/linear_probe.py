"""How well a linear classifier of frozen features does, without training one.

Ridge regression on the classes has a closed form, and so have its predictions for every
image by the classifier that was fitted to all others. With features that a frozen
backbone gives, that is the nearest thing to `--train=head` that takes no time.
"""

from __future__ import annotations

import dataclasses

import numpy as np

# Penalties tried, as shares of the features' mean eigenvalue.
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclasses.dataclass(frozen=True)
class Paired:
    """A difference between two accuracies on the same images, in points."""

    points: float  # The first's minus the second's.
    error: float  # Its standard error, from the images' differences.


def probe(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Tells of each image whether the classifier of the others is right."""
    classes, places = np.unique(labels, return_inverse=True)
    targets = np.eye(len(classes))[places]
    values, vectors = eigen(features)
    mean = float(values.sum() / len(labels)) or 1.0  # Of equal features.
    tried = [predictions(values, vectors, targets, share * mean) for share in PENALTIES]
    best = min(tried, key=lambda predicted: np.square(predicted - targets).sum())
    return best.argmax(axis=1) == places


def eigen(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns eigenvalues `[n]` and vectors of the products of centred features."""
    centred = features - features.mean(axis=0)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    return np.maximum(values, 0.0), vectors


def predictions(
    values: np.ndarray, vectors: np.ndarray, targets: np.ndarray, penalty: float
) -> np.ndarray:
    """Predicts every row of `targets` by the ridge regression fitted to all others."""
    mean = targets.mean(axis=0)
    shrunk = values / (values + penalty)
    fitted = mean + (vectors * shrunk) @ (vectors.T @ (targets - mean))
    leverage = 1 / len(targets) + np.square(vectors) @ shrunk
    residuals = (targets - fitted) / (1 - leverage)[:, None]
    return targets - residuals


def compare(one: np.ndarray, other: np.ndarray) -> Paired:
    """Returns the difference of two accuracies, from `probe`, on the same images."""
    differences = 100 * (one.astype(float) - other)
    error = np.std(differences, ddof=1) / np.sqrt(len(differences))
    return Paired(float(differences.mean()), float(error))
