"""The section on what a diagnosis predicted, and the file that it is read from."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Sequence

from normtest_tf import errors
from normtest_tf.analysis import Run, calibration
from normtest_tf.analysis.calibration import Outcome, Prediction
from normtest_tf.analysis.published import TREATMENT
from normtest_tf.normalization import CONTROL
from normtest_tf.report.rows import Row
from normtest_tf.system import files
from normtest_tf.text import markdown_table, shown, signed

EXPLANATION = "explanation.json"
_ADVICE = "write it again with experiments.explain"


@dataclasses.dataclass(frozen=True)
class _Diagnosis:
    """What a report reads of an `explanation.json`."""

    data: str
    model: str
    predictions: list[Prediction]
    treatment: str = ""
    shift: str | None = None


def prediction_of(folder: pathlib.Path, run: Run, training: str) -> Prediction | None:
    """Returns the prediction for a run's cell and way of training, if there is one.

    The folder holds `<dataset>/<model>/explanation.json`; see `experiments.explain`.
    """
    # A diagnosis is of the images, however many of them are trained on.
    variants = run.cell.dataset.split("+")
    data = "+".join(name for name in variants if not name.endswith("_per_class"))
    model = run.cell.model.partition("+")[0]
    path = folder / data / model / EXPLANATION
    if not path.exists():
        return None
    found: _Diagnosis = files.read_json(path, _ADVICE, _Diagnosis)
    # Without a record of the shift, `data` is the data set's name alone. The network's
    # name is followed by what its weights are, in parentheses.
    has_shift = "+" in found.data or found.shift is not None
    expected = data if has_shift else data.partition("+")[0]
    if (found.data, found.model.partition(" (")[0]) != (expected, model):
        raise errors.UsageError(
            f"{path} is a diagnosis of {shown(found.model)} on {shown(found.data)}, "
            f"where its folder says {model} on {data}; move it to the folder of its "
            f"own data set and model, or {_ADVICE}"
        )
    if found.predictions and found.treatment != TREATMENT:
        raise errors.UsageError(
            f"{path} predicts what {shown(found.treatment)} does, where {TREATMENT} is "
            f"compared with {CONTROL}; {_ADVICE}"
        )
    by_training = {prediction.training: prediction for prediction in found.predictions}
    return by_training.get(training)


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """Returns a row for each cell: what was predicted and what was measured."""
    return [
        {
            **outcome.cell._asdict(),
            "training": outcome.training,
            "displacement": outcome.displacement,
            "predicted": outcome.points,
            "margin": outcome.margin,
            "take": outcome.take or "",
            "n": outcome.effect.n,
            "measured": outcome.effect.mean,
            "low": outcome.effect.low,
            "high": outcome.effect.high,
            "hit": int(outcome.is_hit),
        }
        for outcome in outcomes
    ]


def section(outcomes: Sequence[Outcome], figure: str) -> list[str]:
    """Returns the section on outcomes, if there are any, as paragraphs of Markdown."""
    if not outcomes:
        return []
    return [
        "## What the diagnosis predicted",
        f"Effects are {TREATMENT} - {CONTROL}, in percentage points.",
        summary(outcomes),
        "*Within the margin*: the measured mean is as near to the prediction as that "
        "says. *Rank correlation*: Spearman's, between the displacement of the "
        "features and the size of the effect, with the p-value of a permutation test. "
        "*Lost*: the mean of the points by which the setting taken is behind the "
        "better one; where the diagnosis finds that any will do, it is "
        f"{CONTROL} that is taken.",
        f"![Effects against displacement and prediction]({figure})",
        _table(outcomes),
    ]


def summary(outcomes: Sequence[Outcome]) -> str:
    """Returns a table of how the predictions did, for each way of training."""
    names = list(dict.fromkeys(outcome.training for outcome in outcomes))
    groups = {name: [o for o in outcomes if o.training == name] for name in names}
    if len(groups) > 1:
        groups["all of these"] = list(outcomes)
    header = (
        *("training", "cells", "within the margin", "mean error", "rank correlation"),
        *("lost by following", f"by {CONTROL}", f"by {TREATMENT}"),
    )
    lines = []
    for name, members in groups.items():
        found = calibration.calibrate(members, TREATMENT)
        correlation = "-"
        if math.isfinite(found.rank_correlation):
            correlation = f"{found.rank_correlation:.2f} (p = {found.p_value:.3f})"
        points = (found.followed, found.always_control, found.always_treatment)
        counts = str(found.n), str(found.hits), f"{found.mean_error:.2f}"
        lines.append((name, *counts, correlation, *(f"{each:.2f}" for each in points)))
    return markdown_table([header, *lines])


def _table(outcomes: Sequence[Outcome]) -> str:
    """Lists the cells."""
    lines = [("data set", "model", "predicted", "measured", "n", "")]
    for outcome in outcomes:
        effect = outcome.effect
        interval = f" ± {effect.half_width:.2f}" if effect.n > 1 else ""
        lines.append(
            (
                *outcome.cell,
                f"{signed(outcome.points)} ± {outcome.margin:.2f}",
                f"{signed(effect.mean)}{interval}",
                str(effect.n),
                "within" if outcome.is_hit else "**missed**",
            )
        )
    return markdown_table(lines)
