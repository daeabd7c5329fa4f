"""What a diagnosis predicted beside what runs measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
import numpy as np
from scipy import stats

from normtest_tf.analysis import effects
from normtest_tf.analysis.results import Results, Run
from normtest_tf.normalization import CONTROL
from normtest_tf.runs import Cell, Rule
from normtest_tf.training import choices

FEW_IMAGES = "few_images"


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a diagnosis predicts, as `explanation.json` holds it."""

    training: str  # The way of training.
    # By how much the features differ between the two settings.
    displacement: Annotated[float, msgspec.Meta(ge=0)]
    points: float  # The effect, treatment - control, in percentage points.
    margin: Annotated[float, msgspec.Meta(ge=0)]  # How far off that may be.
    take: str | None  # The recommended setting; None if either will do.


@dataclasses.dataclass(frozen=True)
class Outcome(Prediction):
    """A prediction, and the effect that was measured in its cell."""

    cell: Cell
    effect: effects.Estimate

    @property
    def error(self) -> float:
        """The measured effect minus the predicted one."""
        return self.effect.mean - self.points

    @property
    def is_hit(self) -> bool:
        """Whether the measured effect is within the predicted margin."""
        return abs(self.error) <= self.margin

    def loss(self, taken: str | None) -> float:
        """Returns the points lost to the better setting by taking one, or either."""
        gained = 0.0 if taken in (None, CONTROL) else self.effect.mean
        return max(0.0, self.effect.mean) - gained


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How predictions did over `n` cells; errors and losses are means, in points."""

    n: int
    hits: int  # Cells whose effect is within the predicted margin.
    mean_error: float
    # Spearman's, between displacement and the size of the effect, with the p-value of
    # a permutation test; NaN for fewer than three cells.
    rank_correlation: float
    p_value: float
    # Lost to the better setting, by what was taken.
    followed: float
    always_control: float
    always_treatment: float


def training_of(run: Run) -> str:
    """Returns a run's way of training, as predictions call it."""
    requested = run.config.requested
    train = requested["train"]
    if train in (choices.HEAD, choices.FROZEN_BN) and requested["recalibrate"]:
        return f"{train}_recalibrated"
    if train == choices.ALL and requested["examples_per_class"]:
        return FEW_IMAGES
    return train


def compare(
    results: Results,
    prediction_of: Callable[[Run, str], Prediction | None],
    treatment: str,
    rule: Rule,
) -> tuple[list[Outcome], list[Cell]]:
    """Puts predictions beside measured effects; returns also the cells without one.

    `prediction_of` returns what was predicted for a run's cell and a way of training.
    """
    outcomes, unpredicted = [], []
    for cell in results.cells:
        found = results.paired_differences(cell, treatment, CONTROL, rule)
        if not found:
            continue
        run = results.runs_of(cell)[0]
        if predicted := prediction_of(run, training_of(run)):
            effect = effects.estimate_mean(list(found.values()))
            outcomes.append(Outcome(**vars(predicted), cell=cell, effect=effect))
        else:
            unpredicted.append(cell)
    return outcomes, unpredicted


def calibrate(outcomes: Sequence[Outcome], treatment: str) -> Calibration:
    """Summarises how predictions did, over at least one cell."""

    def mean_loss(taken: Callable[[Outcome], str | None]) -> float:
        return float(np.mean([outcome.loss(taken(outcome)) for outcome in outcomes]))

    correlation, p_value = _rank_correlation(
        [outcome.displacement for outcome in outcomes],
        [abs(outcome.effect.mean) for outcome in outcomes],
    )
    return Calibration(
        n=len(outcomes),
        hits=sum(outcome.is_hit for outcome in outcomes),
        mean_error=float(np.mean([abs(outcome.error) for outcome in outcomes])),
        rank_correlation=correlation,
        p_value=p_value,
        followed=mean_loss(lambda outcome: outcome.take),
        always_control=mean_loss(lambda outcome: CONTROL),
        always_treatment=mean_loss(lambda outcome: treatment),
    )


def _rank_correlation(
    one: Sequence[float], other: Sequence[float]
) -> tuple[float, float]:
    """Returns Spearman's correlation, and the p-value of a permutation test."""
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan, math.nan
    tested = stats.permutation_test(
        (one,),
        lambda permuted: stats.spearmanr(permuted, other).statistic,
        permutation_type="pairings",
        vectorized=False,
        n_resamples=4_999,
        rng=np.random.default_rng(0),
    )
    return float(tested.statistic), float(tested.pvalue)
