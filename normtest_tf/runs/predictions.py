"""`predictions.npz`: the predicted class of each test image, for paired comparisons."""

from __future__ import annotations

import dataclasses

import numpy as np

from normtest_tf import errors
from normtest_tf.runs.folder import RunFolder
from normtest_tf.system import files


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """What a run predicts for its test images, in the data set's order.

    Attributes:
        final_class: The class after the final epoch, int `[n]`.
        final_correct: Whether it is the label, bool `[n]`.
        kept_class: The class after the epoch that `--keep` selects.
        kept_correct: Whether it is the label.
    """

    final_class: np.ndarray
    final_correct: np.ndarray
    kept_class: np.ndarray
    kept_correct: np.ndarray

    @classmethod
    def of(cls, final: np.ndarray, kept: np.ndarray, labels: np.ndarray) -> Predictions:
        """Compares the classes of two epochs with the labels, int `[n]` all three."""
        return cls(final, final == labels, kept, kept == labels)

    def write(self, folder: RunFolder) -> None:
        """Writes `predictions.npz`, atomically."""
        with files.atomic_path(folder.predictions) as path:
            np.savez_compressed(path, **vars(self))

    @classmethod
    def read(cls, folder: RunFolder) -> Predictions:
        """Reads `predictions.npz`.

        Raises:
            UsageError: If it is missing or not what a run writes.
        """
        try:
            with np.load(folder.predictions) as stored:
                return cls(**stored)
        except Exception as error:
            advice = "run again with --overwrite"
            raise errors.unreadable(folder.predictions, error, advice) from error
