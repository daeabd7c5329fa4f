"""What paired differences show, in plain words.

Differences are in percentage points; those of a *cell* come from runs of one data
set and model, one pair per seed. Settings are just names here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from normtest_tf.analysis import effects
from normtest_tf.text import signed

Key = TypeVar("Key", bound=Hashable)

NO_DIFFERENCE = "no difference"
UNDECIDED = "undecided"
SINGLE_RUN = "single run"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a cell shows.

    Attributes:
        kind: `better(setting)` for one of the two settings, `NO_DIFFERENCE`,
            `UNDECIDED` or `SINGLE_RUN`.
        text: The verdict as a sentence, with numbers.
    """

    kind: str
    text: str


def better(setting: str) -> str:
    """Returns the kind of verdict that finds a setting to be the better one."""
    return f"{setting} better"


@dataclasses.dataclass(frozen=True)
class FamilyTest:
    """One cell's p-value of a test that is made in every cell of a family.

    Attributes:
        p_value: The unadjusted p-value; NaN for a single pair.
        adjusted: The p-value adjusted by Holm's method over the family's cells.
    """

    p_value: float
    adjusted: float


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A cell's numbers and verdict.

    Attributes:
        effect: The mean of `treatment - control` with its t interval, for this cell
            alone.
        t_test: The paired t test.
        equivalence_test: The two one-sided t tests against the margin.
        pairs_needed: How many pairs detect a true difference as large as the margin
            with 80% power, given the measured spread and the level of Holm's first
            step, whatever the family's other cells show. A spread estimated from few
            pairs is only a rough guide. None for a single pair.
        verdict: What the numbers amount to.
    """

    effect: effects.Estimate
    t_test: FamilyTest
    equivalence_test: FamilyTest
    pairs_needed: int | None
    verdict: Verdict


@dataclasses.dataclass(frozen=True)
class _Family:
    """What the cells of a family share."""

    treatment: str
    control: str
    margin: float
    level: float
    tests: int  # The number of cells with two pairs or more.


def judge_family(
    cells: Mapping[Key, Sequence[float]],
    *,
    treatment: str,
    control: str,
    margin: float = 0.5,
    level: float = 0.05,
) -> dict[Key, Judgement]:
    """Judges cells together, so that more cells don't mean more false findings.

    At most a share `level` of families call either setting better in a cell without
    a difference, and at most that share call a difference smaller than `margin` when
    it isn't (Holm, 1979, on t tests and on equivalence tests). Cells of one pair are
    not tested and are not part of the family.

    Args:
        cells: Differences `treatment - control` in points, one per pair, by cell.
        treatment: The name of the setting that positive differences favour.
        control: The name of the setting it is compared with.
        margin: The smallest difference that matters, in points.
        level: The significance level of the family's tests. The intervals are each
            cell's own and have a confidence of `1 - level`.

    Returns:
        A judgement of each cell.

    Raises:
        ValueError: If a cell has no pairs or `margin` is not positive.

    Example:
    ```python
    judgements = judge_family(
        {"cifar10": [0.9, 1.1, 1.0]}, treatment="finetune", control="pretrain"
    )
    print(judgements["cifar10"].verdict.text)
    ```
    """
    t_tests = _adjusted([effects.paired_t_p_value(v) for v in cells.values()])
    equivalence_tests = _adjusted(
        [effects.equivalence_p_value(v, margin) for v in cells.values()]
    )
    tests = sum(math.isfinite(test.p_value) for test in t_tests)
    family = _Family(treatment, control, margin, level, tests)
    return {
        key: _judge(differences, t_test, equivalence_test, family)
        for (key, differences), t_test, equivalence_test in zip(
            cells.items(), t_tests, equivalence_tests, strict=True
        )
    }


def _adjusted(p_values: Sequence[float]) -> list[FamilyTest]:
    adjusted = effects.holm(p_values).tolist()
    return [FamilyTest(*pair) for pair in zip(p_values, adjusted, strict=True)]


def _judge(
    differences: Sequence[float],
    t_test: FamilyTest,
    equivalence_test: FamilyTest,
    family: _Family,
) -> Judgement:
    """Judges one cell, given the family's tests."""
    effect = effects.estimate_mean(differences, 1 - family.level)
    pairs_needed = None
    verdict = Verdict(
        SINGLE_RUN, "a single pair of runs can't separate a difference from chance"
    )
    if effect.n > 1:
        pairs_needed = effects.pairs_needed(
            effect.sd, family.margin, level=family.level / family.tests
        )
        verdict = _verdict(effect, t_test, equivalence_test, pairs_needed, family)
    return Judgement(
        effect=effect,
        t_test=t_test,
        equivalence_test=equivalence_test,
        pairs_needed=pairs_needed,
        verdict=verdict,
    )


def _verdict(
    effect: effects.Estimate,
    t_test: FamilyTest,
    equivalence_test: FamilyTest,
    pairs_needed: int,
    family: _Family,
) -> Verdict:
    """Words the verdict of a cell with at least two pairs."""
    is_small = equivalence_test.adjusted < family.level
    if t_test.adjusted < family.level:
        kind = better(family.treatment if effect.mean > 0 else family.control)
        text = f"{kind} by {abs(effect.mean):.2f} ± {effect.half_width:.2f} points"
        addition = f", which is less than {family.margin:g}" if is_small else ""
        return Verdict(kind, text + addition)
    difference = f"{signed(effect.mean)} ± {effect.half_width:.2f}"
    if is_small:
        text = f"no difference larger than {family.margin:g} points"
        return Verdict(NO_DIFFERENCE, f"{text} (difference {difference})")
    # The cell's own interval may be conclusive where the family's tests are not.
    seems_small = max(-effect.low, effect.high) < family.margin
    seems_decided = effect.is_decided or seems_small
    among = f" among {family.tests} cells" if seems_decided else ""
    missing = _what_is_missing(effect, pairs_needed, family.margin)
    return Verdict(UNDECIDED, f"undecided{among}: {difference} points; {missing}")


def _what_is_missing(effect: effects.Estimate, pairs_needed: int, margin: float) -> str:
    """Returns what an undecided cell would need for a verdict."""
    detected = f"detect {margin:g} points with 80% power"
    more = pairs_needed - effect.n
    if more > 0:
        return f"{more} more seed{'s' if more > 1 else ''} would {detected}"
    # With that many pairs a mean beyond the margin passes the t test.
    nearer = math.copysign(margin, effect.mean)
    return (
        f"{effect.n} seeds {detected}; the difference is compatible with both 0 and "
        f"{nearer:+g}"
    )


def single_run_text(
    treatment_accuracy: float, control_accuracy: float, examples: int
) -> str:
    """Compares the difference of two single runs' accuracies with its test-set error.

    The standard error takes the two accuracies as independent. For two models that
    were tested on the same images this is an upper bound, since they tend to
    misclassify the same ones. Variation from seed to seed comes on top and can't be
    estimated from single runs.
    """
    points = 100 * (treatment_accuracy - control_accuracy)
    error = 100 * math.hypot(
        effects.binomial_standard_error(treatment_accuracy, examples),
        effects.binomial_standard_error(control_accuracy, examples),
    )
    return (
        f"{signed(points)} points; the test set alone gives a standard error of up to "
        f"{error:.2f}"
    )
