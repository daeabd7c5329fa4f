"""The tables of a report as data: accuracies, runs, effects, data sets, published ones.

Each is a list of dicts, one per row, with accuracies in percent and differences in
percentage points. The CSV files and the Markdown tables are both made from these rows.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from normtest_tf import text
from normtest_tf.analysis import Cell, Results, Run, effects, verdicts
from normtest_tf.analysis.comparisons import Comparison, test_set_error
from normtest_tf.analysis.published import TREATMENT, Condition, PublishedTable
from normtest_tf.datasets import DATASETS
from normtest_tf.normalization import CONTROL, Setting
from normtest_tf.runs import RULES, Rule
from normtest_tf.runs.history import BEST_TEST, FINAL
from normtest_tf.system import files

Row: TypeAlias = dict[str, Any]

_CHANNELS = [
    f"{statistic}_{channel}"
    for statistic in ("mean", "std")
    for channel in ("red", "green", "blue")
]


def accuracy_rows(
    results: Results, rule: Rule, published: Sequence[PublishedTable]
) -> list[Row]:
    """Returns test accuracies, a row for each data set, model and setting.

    Rows have `n` and, by each rule, mean, sd and the ends of the 95% t interval; where
    there is a published accuracy (the first table with a condition wins), also our mean
    at the best test epoch, the published rule, minus that. `rule` determines which
    setting is `best` in its cell.
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
            | {"test_set_error": test_set_error(results, cell, setting, rule)}
            | _published_accuracy(results, Condition(*cell, setting), published)
            for setting in results.settings
            if results.runs_of(cell, setting)
        ]
    return rows


def _accuracy_row(results: Results, cell: Cell, setting: str, is_best: bool) -> Row:
    """Returns the columns on our runs."""
    row: Row = {
        "dataset": cell.dataset,
        "model": cell.model,
        "normalization": setting,
        "n": len(results.runs_of(cell, setting)),
        "best": int(is_best),
    }
    for rule in RULES.values():
        values = list(results.accuracies(cell, setting, rule).values())
        summary = effects.estimate_mean(100 * np.array(values)) if values else None
        several = summary if summary is not None and summary.n > 1 else None
        row |= {
            f"{rule.name}_mean": summary and summary.mean,
            f"{rule.name}_sd": several and several.sd,
            f"{rule.name}_low": several and several.low,
            f"{rule.name}_high": several and several.high,
        }
    return row


def _published_accuracy(
    results: Results, condition: Condition, published: Sequence[PublishedTable]
) -> Row:
    """Returns the columns on the published accuracy."""
    for table in published:
        if values := table.accuracies.get(condition):
            theirs = 100 * float(np.mean(values))
            ours = results.accuracies(
                condition.cell, condition.normalization, BEST_TEST
            )
            return {
                "published": theirs,
                "published_n": len(values),
                "published_in": table.title,
                "difference": 100 * float(np.mean(list(ours.values()))) - theirs,
            }
    return dict.fromkeys(("published", "published_n", "published_in", "difference"))


def neighbour_rows(results: Results, published: Sequence[PublishedTable]) -> list[Row]:
    """Returns our accuracies beside those of published runs of the same protocol.

    There is a row for each of our data sets, models and settings, and each published
    network that is the same, or else of the same family. Rows have the mean over our
    seeds and the published value, at the best test epoch and at the final one (None if
    not known).
    """
    return [
        {
            "dataset": cell.dataset,
            "normalization": setting,
            "model": cell.model,
            "n": len(results.runs_of(cell, setting)),
            "neighbour": name,
            "published_in": table.title,
        }
        | _beside(results, Condition(*cell, setting), name, table)
        for table in published
        for cell in results.cells
        for setting in results.settings
        if _follows_protocol(results.runs_of(cell, setting), table)
        for name in _neighbours(Condition(*cell, setting), table)
    ]


def _follows_protocol(runs: Sequence[Run], table: PublishedTable) -> bool:
    """Tells whether all runs have a table's epochs, on all images of their data set."""
    return bool(runs) and all(
        run.config.requested["epochs"] == table.epochs
        and run.config.requested["train_examples"] is None
        and run.config.resolved.validation_examples == 0
        for run in runs
    )


def _neighbours(condition: Condition, table: PublishedTable) -> list[str]:
    """Returns the published network that is a condition's own, or else its family."""
    if condition in table.accuracies:
        return [condition.model]
    family = condition.model.rstrip("0123456789")
    return [
        theirs.model
        for theirs in table.accuracies
        if theirs == condition._replace(model=theirs.model)
        and theirs.model.rstrip("0123456789") == family
    ]


def _beside(
    results: Results, condition: Condition, name: str, table: PublishedTable
) -> Row:
    """Returns our mean and the published value by rule."""
    row: Row = {}
    theirs = condition._replace(model=name)
    for rule, accuracies in ((BEST_TEST, table.accuracies), (FINAL, table.final)):
        ours = results.accuracies(condition.cell, condition.normalization, rule)
        found = accuracies.get(theirs)
        row[f"{rule.name}_ours"] = 100 * float(np.mean(list(ours.values())))
        row[f"{rule.name}_published"] = found and 100 * float(np.mean(found))
    return row


def run_rows(results: Results) -> list[Row]:
    """Returns a row for each run, with the chosen epoch and its test accuracy by rule.

    `correct` counts the test images that the model of that epoch classifies correctly.
    """
    return [_run_row(run) for run in results.runs]


def _run_row(run: Run) -> Row:
    requested, resolved, result = run.config.requested, run.config.resolved, run.result
    asked = (
        *("dataset", "shift", "examples_per_class", "model", "train", "recalibrate"),
        *("optimizer", "normalization", "seed", "epochs"),
    )
    row: Row = {name: requested[name] for name in asked} | {
        "train_examples": resolved.train_examples,
        "validation_examples": resolved.validation_examples,
        "test_examples": resolved.test_examples,
    }
    for rule in RULES.values():
        epoch, accuracy = getattr(result, rule.epoch_key), result.test_accuracy(rule)
        chosen: tuple[Any, ...] = (None, None, None)
        if accuracy is not None:
            correct = round(accuracy * resolved.test_examples)
            chosen = (epoch, 100 * accuracy, correct)
        names = (f"{rule.name}_{name}" for name in ("epoch", "accuracy", "correct"))
        row |= zip(names, chosen, strict=True)
    return row | {"total_seconds": result.total_seconds}


def effect_rows(comparisons: Sequence[Comparison]) -> list[Row]:
    """Returns paired differences, a row for each comparison and cell.

    The last row of each comparison is its mean over cells, with data set and model
    `all`. There are columns on the noise floor if it was measured in any cell.
    """
    rows: list[Row] = []
    has_noise = any(comparison.noise for comparison in comparisons)
    for comparison in comparisons:
        shared = {
            "treatment": comparison.treatment,
            "control": comparison.control,
            "rule": comparison.rule.name,
            "margin": comparison.margin,
        }
        for cell, judgement in comparison.judgements.items():
            row = shared | _effect_row(cell, judgement)
            rows.append(row | _noise(comparison, cell) if has_noise else row)
        over_cells = comparison.over_cells
        empty = dict.fromkeys(rows[0])
        rows.append(
            empty
            | shared
            | {"dataset": "all", "model": "all", "unit": "cells", "n": over_cells.n}
            | {"mean": over_cells.mean, "sd": over_cells.sd}
            | _ends(over_cells)
        )
    return rows


def _effect_row(cell: Cell, judgement: verdicts.Judgement) -> Row:
    effect = judgement.effect
    return {
        "dataset": cell.dataset,
        "model": cell.model,
        "unit": "pairs",
        "n": effect.n,
        "mean": effect.mean,
        "sd": effect.sd,
        **_ends(effect),
        "t_p": judgement.t_test.p_value,
        "t_p_holm": judgement.t_test.adjusted,
        "equivalence_p": judgement.equivalence_test.p_value,
        "equivalence_p_holm": judgement.equivalence_test.adjusted,
        "pairs_needed": judgement.pairs_needed,
        "verdict": judgement.verdict.kind,
        "in_words": judgement.verdict.text,
    }


def _noise(comparison: Comparison, cell: Cell) -> Row:
    floor = comparison.noise.get(cell)
    return {"noise_n": floor and floor.n, "noise_rms": floor and floor.rms}


def _ends(effect: effects.Estimate) -> Row:
    """Returns the interval's ends; None for a single value, which has none."""
    if effect.n == 1:
        return {"t_low": None, "t_high": None}
    return {"t_low": effect.low, "t_high": effect.high}


def data_set_rows(results: Results) -> list[Row]:
    """Describes each data set, with its channel statistics after normalization.

    There is a row for each data set and distinct normalization, with mean and standard
    deviation of the training images' channels after the normalization, pooled over
    pixels and averaged over seeds (whose validation images differ). They are None for a
    setting without constants, and where no run has measured the images.
    """
    rows: list[Row] = []
    for dataset in dict.fromkeys(run.name.dataset for run in results.runs):
        members = [run for run in results.runs if run.name.dataset == dataset]
        measured = _measured(members)
        for setting, models, constants in _normalizations(members):
            shown = _after(measured, setting, constants)
            rows.append(
                _describe(members[0])
                | {"normalization": setting.name, "models": " ".join(models)}
                | dict(zip(_CHANNELS, shown, strict=True))
            )
    return rows


def _describe(run: Run) -> Row:
    resolved = run.config.resolved
    height, width, _ = resolved.image_shape
    return {
        "dataset": run.name.dataset,
        "train_examples": resolved.train_examples,
        "validation_examples": resolved.validation_examples,
        "test_examples": resolved.test_examples,
        "classes": len(resolved.class_names),
        "size": f"{height}x{width}",
    }


def _constants(run: Run) -> np.ndarray | None:
    """Returns mean and std that a run normalises with, float `[2, 3]`, or None."""
    statistics = run.config.resolved.statistics
    return None if statistics is None else np.array([statistics.mean, statistics.std])


def _measured(members: Sequence[Run]) -> np.ndarray | None:
    """Returns the images' own mean and std, float `[2, 3]`, if runs measured them."""
    found = [
        constants
        for run in members
        if run.setting.standardises and (constants := _constants(run)) is not None
    ]
    return np.mean(found, axis=0) if found else None


def _normalizations(
    members: Sequence[Run],
) -> list[tuple[Setting, list[str], np.ndarray | None]]:
    """Returns the settings with their models and constants.

    Models for which a setting has the same constants are listed together, and so are
    all models of a setting whose constants are the images' own statistics.
    """
    groups: dict[tuple[str, bytes], tuple[Setting, list[str], np.ndarray | None]] = {}
    for run in members:
        constants = None if run.setting.standardises else _constants(run)
        key = run.setting.name, b"" if constants is None else constants.tobytes()
        _, models, _ = groups.setdefault(key, (run.setting, [], constants))
        if run.name.model not in models:
            models.append(run.name.model)
    return list(groups.values())


def _after(
    measured: np.ndarray | None, setting: Setting, constants: np.ndarray | None
) -> list[float] | list[None]:
    """Returns the channels' mean and std after a normalization, six numbers."""
    if setting.standardises:
        return [0.0] * 3 + [1.0] * 3
    if measured is None or constants is None:
        return [None] * 6
    mean, std = (measured[0] - constants[0]) / constants[1], measured[1] / constants[1]
    return [*mean.tolist(), *std.tolist()]


def published_rows(published: Sequence[PublishedTable], results: Results) -> list[Row]:
    """Returns the published differences between the two settings that were compared.

    Rows have the published difference in points, the same in words with its test-set
    error, and ours at the best test epoch, the published rule.
    """
    rows = []
    for table in published:
        accuracies = table.accuracies
        for condition, treated in accuracies.items():
            control = accuracies.get(Condition(*condition.cell, CONTROL))
            if condition.normalization != TREATMENT or not control:
                continue
            rows.append(
                {
                    "published_in": table.title,
                    "dataset": condition.dataset,
                    "model": condition.model,
                    "n": len(treated),
                    "difference": 100 * float(np.mean(treated) - np.mean(control)),
                    "in_words": _in_words(condition.dataset, treated, control),
                    **_our_difference(results, condition.cell),
                }
            )
    return rows


def _in_words(dataset: str, treated: Sequence[float], control: Sequence[float]) -> str:
    """Words the difference of two single runs on a whole test set; else empty."""
    if len(treated) != 1 or len(control) != 1 or dataset not in DATASETS:
        return ""
    examples = DATASETS[dataset].test_examples
    return verdicts.single_run_text(treated[0], control[0], examples)


def _our_difference(results: Results, cell: Cell) -> Row:
    """Returns our difference by the published rule."""
    found = results.paired_differences(cell, TREATMENT, CONTROL, BEST_TEST)
    effect = effects.estimate_mean(list(found.values())) if found else None
    several = effect if effect is not None and effect.n > 1 else None
    return {
        "ours_n": len(found),
        "ours": effect and effect.mean,
        "ours_half_width": several and several.half_width,
    }


def write_csv(path: pathlib.Path, rows: Sequence[Row]) -> None:
    """Writes at least one row to a CSV file, atomically."""
    files.write_text(path, text.csv_text(rows))
