"""What would have been lost by choosing between two settings by a rule."""

from __future__ import annotations

import math

from normtest_tf.analysis.comparisons import Comparison
from normtest_tf.analysis.results import Results
from normtest_tf.normalization import CONTROL, TREATMENT
from normtest_tf.normalization.statistics import FAR, pixel_distance
from normtest_tf.runs import Cell

# The pixel distance above which a policy takes `TREATMENT`.
POLICIES = {
    f"always {CONTROL}": math.inf,
    f"always {TREATMENT}": -math.inf,
    f"{TREATMENT} if the pixel distance is above {FAR:g}": FAR,
}


def losses(results: Results, comparison: Comparison) -> dict[str, dict[Cell, float]]:
    """Returns the points that every policy lost to each cell's better setting."""
    gains = {cell: each.effect.mean for cell, each in comparison.judgements.items()}
    distances = {cell: _distance(results, cell) for cell in gains}
    return {
        policy: {
            cell: max(gain, 0.0) - (gain if distances[cell] > threshold else 0.0)
            for cell, gain in gains.items()
        }
        for policy, threshold in POLICIES.items()
    }


def _distance(results: Results, cell: Cell) -> float:
    """Returns the pixel distance of a cell, from the constants of its runs."""
    images, pretraining = (
        results.runs_of(cell, setting)[0].config.resolved.statistics
        for setting in (TREATMENT, CONTROL)
    )
    assert images is not None  # Both settings have constants.
    assert pretraining is not None
    return pixel_distance(images, pretraining)
