"""The section on what a diagnosis predicted, and the file that it is read from."""

from __future__ import annotations

import json
import math
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from normtest_tf import errors
from normtest_tf.analysis import Run, calibration
from normtest_tf.analysis.calibration import Outcome
from normtest_tf.analysis.published import TREATMENT
from normtest_tf.diagnosis import findings
from normtest_tf.normalization import CONTROL
from normtest_tf.report.rows import Row
from normtest_tf.system import files
from normtest_tf.text import markdown_table, shown, signed

EXPLANATION = "explanation.json"
_KEYS = {"training", "displacement", "points", "margin", "take"}
_ADVICE = "write it again with experiments.explain"
_AT_LEAST_0 = "a finite number, at least 0"


class Predictions:
    """The predictions in a folder of diagnoses, each read once.

    Args:
        folder: Holds `<dataset>/<model>/explanation.json`; see `experiments.explain`.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._read: dict[pathlib.Path, list[dict[str, Any]]] = {}

    def of(self, run: Run, training: str) -> Mapping[str, Any] | None:
        """Returns the prediction for a run's cell and way of training, if any.

        Raises:
            UsageError: If the file can't be read, is the diagnosis of another data set
                or model than its folder says, or holds no usable predictions.
        """
        # A diagnosis is of the images, however many of them are trained on.
        variants = run.cell.dataset.split("+")
        data = "+".join(name for name in variants if not name.endswith("_per_class"))
        model = run.cell.model.partition("+")[0]
        path = self._folder / data / model / EXPLANATION
        if path not in self._read:
            self._read[path] = _predictions(path)
        for prediction in self._read[path]:
            if prediction["training"] == training:
                return prediction
        return None


def _predictions(path: pathlib.Path) -> list[dict[str, Any]]:
    """Reads the predictions of one diagnosis; none if there is no file."""
    if not path.exists():
        return []
    values = files.read_json(path, _ADVICE)
    _check_belongs(values, path)
    found = values.get("predictions")
    if not isinstance(found, list) or not all(
        isinstance(entry, dict) and entry.keys() >= _KEYS for entry in found
    ):
        raise errors.UsageError(f"{path} holds no predictions; {_ADVICE}")
    if found and values.get("treatment") != TREATMENT:
        raise errors.UsageError(
            f"{path} predicts what {shown(str(values.get('treatment')))} does, where "
            f"{TREATMENT} is compared with {CONTROL}; {_ADVICE}"
        )
    for prediction in found:
        _check_values(prediction, path)
    return found


def _check_belongs(values: Mapping[str, Any], path: pathlib.Path) -> None:
    """Raises `UsageError` unless a diagnosis is of what its folders are named after."""
    dataset, model = path.parts[-3:-1]
    data, network = str(values.get("data")), str(values.get("model"))
    # Without a record of the shift, `data` is the data set's name alone.
    known = "+" in data or "shift" in values
    expected = dataset if known else dataset.partition("+")[0]
    # The network's name is followed by what its weights are, in parentheses.
    if data != expected or not f"{network} (".startswith(f"{model} ("):
        raise errors.UsageError(
            f"{path} is a diagnosis of {shown(network)} on {shown(data)}, where its "
            f"folder says {model} on {dataset}; move it to the folder of its own "
            "data set and model, or write it again with experiments.explain"
        )


def _check_values(prediction: Mapping[str, Any], path: pathlib.Path) -> None:
    """Raises `UsageError` unless a prediction's values are of their types."""
    allowed: dict[str, tuple[Callable[[Any], bool], str]] = {
        "training": (
            lambda value: isinstance(value, str) and value in findings.TRAININGS,
            f"one of {', '.join(findings.TRAININGS)}",
        ),
        "points": (_is_finite, "a finite number"),
        "displacement": (lambda value: _is_finite(value) and value >= 0, _AT_LEAST_0),
        "margin": (lambda value: _is_finite(value) and value >= 0, _AT_LEAST_0),
        "take": (
            lambda value: value in (None, CONTROL, TREATMENT),
            f"{CONTROL}, {TREATMENT} or null",
        ),
    }
    for key, (is_allowed, what) in allowed.items():
        if not is_allowed(prediction[key]):
            received = shown(json.dumps(prediction[key]))
            raise errors.UsageError(
                f"{path}: {key} of a prediction must be {what}. Received: {received}; "
                f"{_ADVICE}"
            )


def _is_finite(value: Any) -> bool:  # noqa: ANN401  (any JSON)
    """Whether a value is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """Returns a row for each cell: what was predicted and what was measured."""
    return [
        {
            "dataset": outcome.cell.dataset,
            "model": outcome.cell.model,
            "training": outcome.training,
            "displacement": outcome.displacement,
            "predicted": outcome.points,
            "margin": outcome.margin,
            "take": outcome.take or "",
            "n": outcome.effect.n,
            "measured": outcome.effect.mean,
            "low": outcome.effect.low if outcome.effect.n > 1 else None,
            "high": outcome.effect.high if outcome.effect.n > 1 else None,
            "hit": int(outcome.is_hit),
        }
        for outcome in outcomes
    ]


def section(outcomes: Sequence[Outcome], figure: str) -> list[str]:
    """Returns the section as paragraphs of Markdown.

    Args:
        outcomes: At least one.
        figure: The name of the figure's file.
    """
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
        "training",
        "cells",
        "within the margin",
        "mean error",
        "rank correlation",
        "lost by following",
        f"by {CONTROL}",
        f"by {TREATMENT}",
    )
    return markdown_table(
        [header, *(_summary_row(name, members) for name, members in groups.items())]
    )


def _summary_row(name: str, members: Sequence[Outcome]) -> tuple[str, ...]:
    found = calibration.calibrate(members, TREATMENT)
    correlation = "-"
    if math.isfinite(found.rank_correlation):
        correlation = f"{found.rank_correlation:.2f} (p = {found.p_value:.3f})"
    points = (found.followed, found.always_control, found.always_treatment)
    return (
        name,
        str(found.n),
        str(found.hits),
        f"{found.mean_error:.2f}",
        correlation,
        *(f"{value:.2f}" for value in points),
    )


def _table(outcomes: Sequence[Outcome]) -> str:
    """Lists the cells."""
    lines = [("data set", "model", "predicted", "measured", "n", "")]
    for outcome in outcomes:
        effect = outcome.effect
        interval = f" ± {effect.half_width:.2f}" if effect.n > 1 else ""
        lines.append(
            (
                outcome.cell.dataset,
                outcome.cell.model,
                f"{signed(outcome.points)} ± {outcome.margin:.2f}",
                f"{signed(effect.mean)}{interval}",
                str(effect.n),
                "within" if outcome.is_hit else "**missed**",
            )
        )
    return markdown_table(lines)
