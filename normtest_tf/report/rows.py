"""The tables of a report: accuracies, effects, data sets, published numbers.

Each is a list of dicts, one a row, ready for CSV, with accuracies in percent and
differences in percentage points. What people read is made of the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from normtest_tf.analysis import comparisons as analysis
from normtest_tf.analysis import effects, verdicts
from normtest_tf.analysis.results import RULES, Cell, Results, Run
from normtest_tf.datasets import DATASETS
from normtest_tf.published.editions import ReferenceTable

Row = dict[str, Any]


def accuracies(
    results: Results, rule: str, references: Sequence[ReferenceTable]
) -> list[Row]:
    """Returns test accuracies, a row for each data set, model and setting.

    Args:
        results: The runs.
        rule: The rule that decides which setting is `best` in its cell.
        references: Published accuracies; the first that has a cell counts.

    Returns:
        Rows with `n`, mean, sd and the ends of the 95% t interval by each rule,
        and, where there is a published accuracy, how far the mean of ours by the
        same rule, the best test epoch, lies above it.
    """
    rows = []
    for cell in results.cells:
        means = {
            setting: float(np.mean(list(values.values())))
            for setting in results.settings
            if (values := results.accuracies(cell, setting, rule))
        }
        best = max(means.values(), default=None)
        rows += [
            _accuracy_row(results, cell, setting, means.get(setting) == best)
            | _test_set_error(results, cell, setting, rule)
            | _published(results, cell, setting, references)
            for setting in results.settings
            if results.of(cell, setting)
        ]
    return rows


def _accuracy_row(results: Results, cell: Cell, setting: str, is_best: bool) -> Row:
    """Returns the part of a row that our runs fill."""
    row: Row = {
        "dataset": cell[0],
        "model": cell[1],
        "normalization": setting,
        "n": len(results.of(cell, setting)),
        "best": int(is_best),
    }
    for rule in RULES:
        values = list(results.accuracies(cell, setting, rule).values())
        summary = effects.estimate_mean(100 * np.array(values)) if values else None
        several = summary is not None and summary.n > 1
        row |= {
            f"{rule}_mean": summary and summary.mean,
            f"{rule}_sd": summary.sd if several else None,
            f"{rule}_low": summary.low if several else None,
            f"{rule}_high": summary.high if several else None,
        }
    return row


def _test_set_error(results: Results, cell: Cell, setting: str, rule: str) -> Row:
    return {"test_set_error": analysis.test_set_error(results, cell, setting, rule)}


def _published(
    results: Results, cell: Cell, setting: str, references: Sequence[ReferenceTable]
) -> Row:
    """Returns the part of a row on the published accuracy."""
    for reference in references:
        if values := reference.values.get((*cell, setting)):
            published = 100 * float(np.mean(values))
            ours = results.accuracies(cell, setting, "best_test")
            mean = 100 * float(np.mean(list(ours.values())))
            return {
                "published": published,
                "published_n": len(values),
                "published_in": reference.title,
                "difference": mean - published,
            }
    return dict.fromkeys(("published", "published_n", "published_in", "difference"))


def differences(comparisons: Sequence[analysis.Comparison]) -> list[Row]:
    """Returns paired differences, a row for each comparison and cell.

    Args:
        comparisons: From `analysis.comparisons`.

    Returns:
        Rows with the numbers of `verdicts.Judgement`; the last two rows of each
        comparison are its mean over cells, with data set `all`.
    """
    rows = []
    for comparison in comparisons:
        shared = {
            "treatment": comparison.treatment,
            "control": comparison.control,
            "rule": comparison.rule,
            "margin": comparison.margin,
        }
        for cell, judgement in comparison.judgements.items():
            rows.append(_effect_row(shared, cell, judgement))
        over_cells, pooled = comparison.over_cells, comparison.pooled
        empty = dict.fromkeys(rows[0])
        rows.append(
            empty
            | shared
            | {"dataset": "all", "model": "all", "unit": "cells", "n": over_cells.n}
            | {"mean": over_cells.mean, "sd": over_cells.sd}
            | _ends("t", over_cells.low, over_cells.high)
            | _ends("bootstrap", pooled.low, pooled.high)
        )
    return rows


def _effect_row(shared: Row, cell: Cell, judgement: verdicts.Judgement) -> Row:
    effect = judgement.effect
    return {
        **shared,
        "dataset": cell[0],
        "model": cell[1],
        "unit": "pairs",
        "n": effect.n,
        "mean": effect.mean,
        "sd": effect.sd,
        **_ends("t", effect.low, effect.high),
        **_ends("bootstrap", *judgement.bootstrap),
        "t_p": judgement.t_p_value,
        "t_p_holm": judgement.t_p_adjusted,
        "sign_flip_p": judgement.sign_flip_p_value,
        "equivalence_p": judgement.equivalence_p_value,
        "equivalence_p_holm": judgement.equivalence_p_adjusted,
        "pairs_needed": judgement.seeds_needed,
        "verdict": judgement.verdict.kind,
        "in_words": judgement.verdict.text,
    }


def _ends(name: str, low: float, high: float) -> Row:
    """Returns an interval's ends; none where it is unbounded."""
    finite = np.isfinite([low, high]).all()
    return {
        f"{name}_low": low if finite else None,
        f"{name}_high": high if finite else None,
    }


def data_sets(results: Results) -> list[Row]:
    """Returns what each data set is, and what a network sees of it.

    Returns:
        A row for each data set and distinct normalization, with the mean and the
        standard deviation of the training images' channels, pooled over pixels,
        after the normalization: computed from the data where a `finetune` run
        has measured them, averaged over seeds (whose validation images differ),
        else None. `instance` normalises each image on its own.
    """
    rows: list[Row] = []
    for dataset in dict.fromkeys(run.dataset for run in results.runs):
        members = [run for run in results.runs if run.dataset == dataset]
        measured = _measured(members)
        for setting, models, constants in _normalizations(members):
            shown = _after(measured, setting, constants)
            rows.append(
                _describe(members[0])
                | {"normalization": setting, "models": " ".join(models)}
                | dict(zip(_CHANNELS, shown, strict=True))
            )
    return rows


_CHANNELS = [
    f"{statistic}_{channel}"
    for statistic in ("mean", "std")
    for channel in ("red", "green", "blue")
]


def _describe(run: Run) -> Row:
    resolved = run.config["resolved"]
    height, width, _ = resolved["image_shape"]
    return {
        "dataset": run.dataset,
        "train_examples": resolved["train_examples"],
        "validation_examples": resolved["validation_examples"],
        "test_examples": resolved["test_examples"],
        "classes": len(resolved["class_names"]),
        "size": f"{height}x{width}",
    }


def _measured(members: Sequence[Run]) -> np.ndarray | None:
    """Returns the images' own mean and std, float `[2, 3]`, from finetune runs."""
    found = [
        [statistics["mean"], statistics["std"]]
        for run in members
        if run.normalization == "finetune"
        and (statistics := run.config["resolved"]["statistics"])
    ]
    return np.mean(found, axis=0) if found else None


def _normalizations(
    members: Sequence[Run],
) -> list[tuple[str, list[str], np.ndarray | None]]:
    """Returns the settings with their models and constants.

    Models that a setting normalises alike are listed together.
    """
    groups: dict[tuple[str, bytes], tuple[str, list[str], np.ndarray | None]] = {}
    for run in members:
        statistics = run.config["resolved"]["statistics"]
        constants = None
        if run.normalization not in ("finetune", "instance") and statistics:
            constants = np.array([statistics["mean"], statistics["std"]])
        key = run.normalization, b"" if constants is None else constants.tobytes()
        _, models, _ = groups.setdefault(key, (run.normalization, [], constants))
        if run.model not in models:
            models.append(run.model)
    return list(groups.values())


def _after(
    measured: np.ndarray | None, setting: str, constants: np.ndarray | None
) -> list[float | None]:
    """Returns the channels' mean and std after a normalization, six numbers."""
    if setting == "finetune":
        return [0.0] * 3 + [1.0] * 3
    if setting == "instance" or measured is None or constants is None:
        return [None] * 6
    mean, std = (measured[0] - constants[0]) / constants[1], measured[1] / constants[1]
    return [*mean.tolist(), *std.tolist()]


def published(references: Sequence[ReferenceTable], results: Results) -> list[Row]:
    """Returns what published single runs show of `finetune - pretrain`.

    Args:
        references: Published accuracies.
        results: Our runs, to set our difference beside theirs.

    Returns:
        Rows with the published difference in points, in words with its test-set
        error, and ours by the same rule, the best test epoch.
    """
    rows = []
    for reference in references:
        values = reference.values
        for dataset, model, setting in values:
            control = values.get((dataset, model, "pretrain"))
            if setting != "finetune" or not control:
                continue
            treated = values[dataset, model, setting]
            rows.append(
                {
                    "published_in": reference.title,
                    "dataset": dataset,
                    "model": model,
                    "n": len(treated),
                    "difference": 100 * float(np.mean(treated) - np.mean(control)),
                    "in_words": _single_runs_in_words(dataset, treated, control),
                    **_ours(results, (dataset, model)),
                }
            )
    return rows


def _single_runs_in_words(
    dataset: str, treated: Sequence[float], control: Sequence[float]
) -> str:
    """Returns what a pair of single runs on a whole test set shows."""
    if len(treated) != 1 or len(control) != 1 or dataset not in DATASETS:
        return ""
    examples = DATASETS[dataset].test_examples
    return verdicts.single_run_text(treated[0], control[0], examples)


def _ours(results: Results, cell: Cell) -> Row:
    """Returns our difference by the published rule."""
    found = results.differences(cell, "finetune", "pretrain", "best_test")
    effect = effects.estimate_mean(list(found.values())) if found else None
    return {
        "ours_n": len(found),
        "ours": effect and effect.mean,
        "ours_half_width": effect.half_width if len(found) > 1 else None,
    }
