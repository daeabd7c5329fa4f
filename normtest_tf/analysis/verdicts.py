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

# Kinds of verdict, like `better`.
NO_DIFFERENCE = "no difference"
UNDECIDED = "undecided"
SINGLE_RUN = "single run"


def better(setting: str) -> str:
    """Returns the kind of verdict that finds a setting to be the better one."""
    return f"{setting} better"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a cell shows: a kind, and a sentence with numbers."""

    kind: str
    text: str


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A cell's numbers and verdict; p-values are NaN where nothing is tested."""

    effect: effects.Estimate  # The mean difference, with this cell's own interval.
    t_p: float  # Of the paired t test, before and after Holm's correction.
    t_p_holm: float
    equivalence_p: float  # Of the two one-sided t tests against the margin.
    equivalence_p_holm: float
    # Pairs that detect a true difference as large as the margin with 80% power, given
    # the measured spread and the level of Holm's first step, whatever the family's
    # other cells show: a rough guide if there are few pairs, None without a test.
    pairs_needed: int | None
    verdict: Verdict


def judge_family(
    cells: Mapping[Key, Sequence[float]],
    *,
    treatment: str,
    control: str,
    least_sds: Mapping[Key, float],
    margin: float,
) -> dict[Key, Judgement]:
    """Judges differences `treatment - control` in points, one per pair, by cell.

    At most 5% of families call either setting better in a cell without a difference,
    and at most 5% call a difference smaller than `margin` when it isn't (Holm, 1979, on
    t tests and on equivalence tests): more cells don't mean more false findings. Cells
    of one pair, or of two with equal differences, are not tested and not part of the
    family. The intervals are each cell's own. `least_sds` are those of pairs; see
    `grid_sd`.
    """
    given = [(values, least_sds[key]) for key, values in cells.items()]
    t = [effects.paired_t_p_value(values, sd) for values, sd in given]
    equivalence = [effects.equivalence_p_value(v, margin, sd) for v, sd in given]
    p_values = zip(
        *(t, effects.holm(t).tolist(), equivalence, effects.holm(equivalence).tolist()),
        strict=True,
    )
    tests = sum(map(math.isfinite, t))
    judged = {}
    for (key, values), ps in zip(cells.items(), p_values, strict=True):
        effect = effects.estimate_mean(values, least_sds[key])
        needed = None
        text = "a single pair of runs can't separate a difference from chance"
        verdict = Verdict(SINGLE_RUN, text)
        if effect.n > 1 and math.isnan(ps[0]):
            text = "undecided: two equal differences tell nothing of their spread"
            verdict = Verdict(UNDECIDED, text)
        elif effect.n > 1:
            needed = effects.pairs_needed(effect.sd, margin, effects.LEVEL / tests)
            winner = treatment if effect.mean > 0 else control
            verdict = _verdict(
                effect,
                kind=better(winner) if ps[1] < effects.LEVEL else None,
                is_small=ps[3] < effects.LEVEL,
                margin=margin,
                tests=tests,
                pairs_needed=needed,
            )
        judged[key] = Judgement(effect, *ps, needed, verdict)
    return judged


def _verdict(
    effect: effects.Estimate,
    *,
    kind: str | None,
    is_small: bool,
    margin: float,
    tests: int,
    pairs_needed: int,
) -> Verdict:
    """Words the verdict of a cell with at least two pairs."""
    ends = effects.equivalence_interval(effect)
    low, high = map(signed, ends)
    within = f"(equivalence test, 90% interval {low} to {high})"
    if kind:
        text = f"{kind} by {abs(effect.mean):.2f} ± {effect.half_width:.2f} points"
        addition = f", which is less than {margin:g} {within}" if is_small else ""
        return Verdict(kind, text + addition)
    if is_small:
        text = f"no difference larger than {margin:g} points {within}"
        return Verdict(NO_DIFFERENCE, text)
    difference = f"{signed(effect.mean)} ± {effect.half_width:.2f}"
    # The cell's own intervals may be conclusive where the family's tests are not.
    excludes_0 = effect.low > 0 or effect.high < 0
    is_conclusive = excludes_0 or max(-ends[0], ends[1]) < margin
    among = f" among {tests} cells" if is_conclusive else ""
    detected = f"detect {margin:g} points with 80% power"
    more = pairs_needed - effect.n
    if more > 0:
        missing = f"{more} more seed{'s' if more > 1 else ''} would {detected}"
    else:  # With that many pairs a mean beyond the margin passes the t test.
        missing = (
            f"{effect.n} seeds {detected}; the difference is compatible with both 0 "
            f"and {math.copysign(margin, effect.mean):+g}"
        )
    return Verdict(UNDECIDED, f"undecided{among}: {difference} points; {missing}")
