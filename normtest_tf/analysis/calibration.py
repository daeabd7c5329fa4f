"""What a diagnosis predicted beside what runs measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from normtest_tf.analysis import effects
from normtest_tf.analysis.results import Results, Run
from normtest_tf.normalization import CONTROL
from normtest_tf.runs import Cell, Rule
from normtest_tf.training import choices

FEW_IMAGES = "few_images"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One cell: a prediction, and the effect that was measured.

    Attributes:
        cell: The data set and the model, with their variants.
        training: The way of training that the prediction is for.
        displacement: By how much the features differ between the two settings.
        points: The predicted effect, treatment - control, in percentage points.
        margin: How far off that may be, as the prediction says.
        take: The setting it says to take; None where it says that any will do.
        effect: The measured effect.
    """

    cell: Cell
    training: str
    displacement: float
    points: float
    margin: float
    take: str | None
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
        """Returns the points lost to the better setting by taking one.

        Args:
            taken: A setting; None for the control.
        """
        gained = 0.0 if taken in (None, CONTROL) else self.effect.mean
        return max(0.0, self.effect.mean) - gained


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How predictions did over some cells.

    Attributes:
        n: The number of cells.
        hits: The number whose effect is within the predicted margin.
        mean_error: The mean absolute error, in points.
        rank_correlation: Spearman's, between displacement and the size of the effect;
            NaN for fewer than three cells.
        p_value: Of no correlation, by permutation.
        followed: The mean points lost to the better setting by following it.
        always_control: The same by always taking the control.
        always_treatment: The same by always taking the treatment.
    """

    n: int
    hits: int
    mean_error: float
    rank_correlation: float
    p_value: float
    followed: float
    always_control: float
    always_treatment: float


def training_of(run: Run) -> str:
    """Returns which way of training a run is, as predictions call it.

    Nothing is predicted for `frozen_bn_recalibrated`.
    """
    requested = run.config.requested
    train = requested["train"]
    if train in (choices.HEAD, choices.FROZEN_BN) and requested["recalibrate"]:
        return f"{train}_recalibrated"
    if train == choices.ALL and requested["examples_per_class"]:
        return FEW_IMAGES
    return train


def compare(
    results: Results,
    prediction_of: Callable[[Run, str], Mapping[str, Any] | None],
    treatment: str,
    rule: Rule,
) -> list[Outcome]:
    """Puts predictions beside measured effects.

    Args:
        results: The runs.
        prediction_of: Returns what was predicted for a run's cell and a way of
            training, as `diagnosis.Prediction` writes it to JSON; None if nothing was.
        treatment: The setting that is compared with the control.
        rule: How to choose the epoch whose accuracy counts.

    Returns:
        The cells that have both, in the order of the results.
    """
    outcomes = []
    for cell in results.cells:
        found = results.paired_differences(cell, treatment, CONTROL, rule)
        run = results.runs_of(cell)[0]
        training = training_of(run)
        if not found or (predicted := prediction_of(run, training)) is None:
            continue
        outcomes.append(
            Outcome(
                cell=cell,
                training=training,
                displacement=predicted["displacement"],
                points=predicted["points"],
                margin=predicted["margin"],
                take=predicted["take"],
                effect=effects.estimate_mean(list(found.values())),
            )
        )
    return outcomes


def without_prediction(
    results: Results, outcomes: Sequence[Outcome], treatment: str, rule: Rule
) -> list[Cell]:
    """Returns the cells that have a measured effect but no prediction.

    Args:
        results: The runs.
        outcomes: From `compare`, of the same runs, treatment and rule.
        treatment: The setting that is compared with the control.
        rule: How to choose the epoch whose accuracy counts.

    Returns:
        The cells, in the order of the results.
    """
    predicted = {outcome.cell for outcome in outcomes}
    return [
        cell
        for cell in results.cells
        if cell not in predicted
        and results.paired_differences(cell, treatment, CONTROL, rule)
    ]


def calibrate(outcomes: Sequence[Outcome], treatment: str) -> Calibration:
    """Summarises how predictions did.

    Args:
        outcomes: At least one.
        treatment: The setting that was compared with the control.

    Raises:
        ValueError: If there are no outcomes.
    """
    if not outcomes:
        raise ValueError("outcomes must not be empty")

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
