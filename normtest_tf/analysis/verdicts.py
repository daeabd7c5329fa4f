"""What paired differences show, in plain words.

Differences are in percentage points; those of a *cell* come from runs of one data
set and model, one pair a seed. Nothing here knows of Keras or of folders.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from normtest_tf.analysis import effects, power, significance

Key = TypeVar("Key", bound=Hashable)

NO_DIFFERENCE = "no difference"
UNDECIDED = "undecided"
SINGLE_RUN = "single run"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a cell shows.

    Attributes:
        kind: "finetune better" or "pretrain better" (or whatever the settings are
            called), `NO_DIFFERENCE`, `UNDECIDED` or `SINGLE_RUN`.
        text: The same in words, with numbers.
    """

    kind: str
    text: str


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A cell's numbers and verdict.

    The p-values of a single pair are NaN.

    Attributes:
        effect: Mean of `treatment - control` with its t interval, of this cell alone.
        bootstrap: Lower and upper end of the BCa bootstrap interval of that mean.
        t_p_value: Of the paired t test.
        t_p_adjusted: The same by Holm's method, over the family's cells.
        sign_flip_p_value: Of the sign-flip test; it can't fall below 0.0625 with 5
            pairs, so it stands beside the t test and decides nothing.
        equivalence_p_value: Of the two one-sided t tests against the margin.
        equivalence_p_adjusted: The same by Holm's method, over the family's cells.
        seeds_needed: How many pairs show a true difference as large as the margin
            with 80% power at the measured spread and the level of Holm's first step,
            whatever the family's other cells show. A spread measured on few pairs is
            a rough guide. None for a single pair.
        verdict: What they amount to.
    """

    effect: effects.Estimate
    bootstrap: tuple[float, float]
    t_p_value: float
    t_p_adjusted: float
    sign_flip_p_value: float
    equivalence_p_value: float
    equivalence_p_adjusted: float
    seeds_needed: int | None
    verdict: Verdict


@dataclasses.dataclass(frozen=True)
class _Rules:
    """What all verdicts of a family have in common.

    Attributes:
        margin: The difference that matters, in points.
        level: Of the family's tests.
        treatment: Name of the setting that is better where differences are positive.
        control: Name of the other one.
        tests: Number of the family's cells with two pairs or more.
    """

    margin: float
    level: float
    treatment: str
    control: str
    tests: int


def judge_family(
    cells: Mapping[Key, Sequence[float]],
    margin: float = 0.5,
    level: float = 0.05,
    treatment: str = "finetune",
    control: str = "pretrain",
) -> dict[Key, Judgement]:
    """Judges cells together, so that more cells don't mean more false findings.

    In at most a share `level` of families any cell is called better one way or the
    other where there is no difference, and in at most that share any difference of
    `margin` or more is called smaller (Holm, 1979, on t tests and on equivalence
    tests). Cells of one pair are not tested and don't count.

    Args:
        cells: Differences `treatment - control` in points, one a pair, by cell.
        margin: The smallest difference that matters, in points.
        level: Of the family's tests; the intervals, each cell's own, have a
            confidence of `1 - level`.
        treatment: Name of the setting that is better where differences are positive.
        control: Name of the other one.

    Returns:
        A judgement of each cell.

    Raises:
        ValueError: If a cell has no pairs or `margin` is not positive.
    """
    t = [significance.paired_t_p_value(values) for values in cells.values()]
    tost = [
        significance.equivalence_p_value(values, margin) for values in cells.values()
    ]
    tests = int(np.isfinite(t).sum())
    rules = _Rules(margin, level, treatment, control, tests)
    rows = zip(
        cells.items(),
        t,
        significance.holm(t),
        tost,
        significance.holm(tost),
        strict=True,
    )
    return {
        key: _judge(values, t_p, float(t_holm), tost_p, float(tost_holm), rules)
        for (key, values), t_p, t_holm, tost_p, tost_holm in rows
    }


def _judge(
    differences: Sequence[float],
    t_p_value: float,
    t_p_adjusted: float,
    equivalence_p_value: float,
    equivalence_p_adjusted: float,
    rules: _Rules,
) -> Judgement:
    """Judges one cell whose tests are done."""
    effect = effects.estimate_mean(differences, 1 - rules.level)
    seeds_needed = None
    if effect.n > 1:
        seeds_needed = power.pairs_needed(
            effect.sd, rules.margin, level=rules.level / rules.tests
        )
    return Judgement(
        effect,
        effects.bootstrap_interval(differences, 1 - rules.level),
        t_p_value,
        t_p_adjusted,
        significance.sign_flip_p_value(differences),
        equivalence_p_value,
        equivalence_p_adjusted,
        seeds_needed,
        _verdict(effect, t_p_adjusted, equivalence_p_adjusted, seeds_needed, rules),
    )


def _verdict(
    effect: effects.Estimate,
    t_p_adjusted: float,
    equivalence_p_adjusted: float,
    seeds_needed: int | None,
    rules: _Rules,
) -> Verdict:
    """Puts a cell's numbers in words."""
    if seeds_needed is None:
        return Verdict(
            SINGLE_RUN, "one pair of runs can't tell a difference from chance"
        )
    is_small = equivalence_p_adjusted < rules.level
    if t_p_adjusted < rules.level:
        kind = f"{rules.treatment if effect.mean > 0 else rules.control} better"
        text = f"{kind} by {abs(effect.mean):.2f} ± {effect.half_width:.2f} points"
        addition = f", which is less than {rules.margin:g}" if is_small else ""
        return Verdict(kind, text + addition)
    difference = f"{signed(effect.mean)} ± {effect.half_width:.2f}"
    if is_small:
        text = f"no difference larger than {rules.margin:g} points"
        return Verdict(NO_DIFFERENCE, f"{text} (difference {difference})")
    # The interval is the cell's own and may settle what the family's tests don't.
    seems_small = max(-effect.low, effect.high) < rules.margin
    seems_decided = effect.is_decided or seems_small
    among = f" among {rules.tests} cells" if seems_decided else ""
    outlook = _outlook(effect, seeds_needed, rules.margin)
    return Verdict(UNDECIDED, f"undecided{among}: {difference} points; {outlook}")


def _outlook(effect: effects.Estimate, seeds_needed: int, margin: float) -> str:
    """Says what an undecided cell lacks."""
    shown = f"show {margin:g} points with 80% power"
    more = seeds_needed - effect.n
    if more > 0:
        return f"{more} more seed{'s' if more > 1 else ''} would {shown}"
    # With that many pairs a mean beyond the margin passes the t test.
    nearer = math.copysign(margin, effect.mean)
    return (
        f"{effect.n} seeds {shown}, yet this difference can be told neither from 0 "
        f"nor from {nearer:+g}"
    )


def signed(points: float) -> str:
    """Formats points with their sign, which 0.00 has, too, but never a minus."""
    return f"{round(points, 2) + 0.0:+.2f}"


def single_run_text(
    treatment_accuracy: float, control_accuracy: float, examples: int
) -> str:
    """Sets the difference of two single runs beside what the test set leaves open.

    The standard error takes the two accuracies as independent. That is an upper
    bound for two models that were tested on the same images, as they tend to err on
    the same ones. What varies from seed to seed comes on top and can't be seen in
    single runs.

    Args:
        treatment_accuracy: From 0 to 1.
        control_accuracy: From 0 to 1, on the same test examples.
        examples: Number of test examples.

    Returns:
        One line, in points.
    """
    points = 100 * (treatment_accuracy - control_accuracy)
    error = 100 * math.hypot(
        effects.binomial_standard_error(treatment_accuracy, examples),
        effects.binomial_standard_error(control_accuracy, examples),
    )
    return (
        f"{signed(points)} points; test-set error alone is up to ±{error:.2f} "
        "(one standard error)"
    )
