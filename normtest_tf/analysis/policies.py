"""What would have been lost by choosing between two settings by a rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from normtest_tf.analysis.comparisons import Comparison
from normtest_tf.analysis.published import TREATMENT
from normtest_tf.analysis.results import Results
from normtest_tf.normalization import CONTROL
from normtest_tf.normalization.statistics import FAR, pixel_distance
from normtest_tf.runs import Cell

# By name: whether `TREATMENT` is taken where the pixels are at a distance.
POLICIES: Mapping[str, Callable[[float], bool]] = {
    f"always {CONTROL}": lambda distance: False,
    f"always {TREATMENT}": lambda distance: True,
    f"{TREATMENT} if the pixel distance is above {FAR:g}": lambda distance: (
        distance > FAR
    ),
}


@dataclasses.dataclass(frozen=True)
class Losses:
    """What a policy lost, in points, cell by cell."""

    policy: str
    unshifted: list[float]  # On images as they are.
    shifted: list[float]


def losses(results: Results, comparison: Comparison) -> list[Losses]:
    """Returns what every policy lost to the setting that is better in hindsight.

    `comparison` is of `TREATMENT` with `CONTROL`. Of the better setting, a cell shows
    the mean: where the two are equal, chance makes one of them the better.
    """
    found = []
    for name, takes in POLICIES.items():
        lost: dict[bool, list[float]] = {False: [], True: []}
        for cell, judgement in comparison.judgements.items():
            gain = judgement.effect.mean
            taken = gain if takes(_distance(results, cell)) else 0.0
            run = results.runs_of(cell)[0]
            is_shifted = run.config.requested["shift"] != "none"
            lost[is_shifted].append(max(gain, 0.0) - taken)
        found.append(Losses(name, lost[False], lost[True]))
    return found


def _distance(results: Results, cell: Cell) -> float:
    """Returns the pixel distance of a cell, from the constants of its runs."""
    images, pretraining = (
        results.runs_of(cell, setting)[0].config.resolved.statistics
        for setting in (TREATMENT, CONTROL)
    )
    assert images is not None  # Both settings have constants.
    assert pretraining is not None
    return pixel_distance(images, pretraining)
