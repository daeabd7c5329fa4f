"""The noise floor: by how much runs differ that should not differ.

`pretrain_again` is `pretrain` with inputs multiplied by 1 + 1e-5, which no network can
tell from 1. What a pair of the two differs by is what training makes of a rounding
error, and no comparison of settings can be sharper.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy import stats

from normtest_tf.analysis.effects import Estimate
from normtest_tf.analysis.results import Results
from normtest_tf.normalization import CONTROL, CONTROL_AGAIN
from normtest_tf.runs import Cell, Rule


@dataclasses.dataclass(frozen=True)
class NoiseFloor:
    """What chaos alone does in a cell.

    Attributes:
        n: The number of pairs of `CONTROL_AGAIN` and `CONTROL`.
        rms: The root mean square of their differences, in percentage points.
    """

    n: int
    rms: float

    def half_width(self, pairs: int, confidence: float = 0.95) -> float:
        """Returns how far from 0 the mean difference of equal settings would be.

        Args:
            pairs: The number of pairs that the mean is of.
            confidence: How often it would be nearer.

        Returns:
            Percentage points, by Student's t with `n` degrees of freedom: the mean of
            the differences is known to be 0.
        """
        quantile = float(stats.t.ppf((1 + confidence) / 2, self.n))
        return quantile * self.rms / math.sqrt(pairs)

    def in_words(self, effect: Estimate) -> str:
        """Compares an effect with the noise floor.

        Args:
            effect: The mean difference of two settings, in percentage points.
        """
        half_width = self.half_width(effect.n, effect.confidence)
        within = abs(effect.mean) <= half_width
        return (
            f"{'no wider than' if within else 'beyond'} what chaos alone does, "
            f"±{half_width:.2f} (n = {self.n})"
        )


def noise_floors(results: Results, rule: Rule) -> dict[Cell, NoiseFloor]:
    """Returns the noise floor of every cell whose control arm differs at all.

    In 16 bits a network may get the very inputs of `CONTROL`, with the factor rounded
    away: `keras_mobilenet_025` does in bfloat16. That says nothing about chaos.

    Args:
        results: The runs.
        rule: How to choose the epoch whose accuracy counts.
    """
    floors = {}
    for cell in results.cells:
        found = results.paired_differences(cell, CONTROL_AGAIN, CONTROL, rule)
        values = np.array(list(found.values()))
        if values.any():
            floors[cell] = NoiseFloor(len(values), math.sqrt(np.mean(values**2)))
    return floors
