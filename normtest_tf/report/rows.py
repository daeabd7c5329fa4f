"""The tables of a report as data: accuracies, runs, effects, data sets, published ones.

Each is a list of dicts, one per row, with accuracies in percent and differences in
percentage points; what is not known is NaN or None. The CSV files and the Markdown
tables are both made from these rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from normtest_tf.analysis import Results, Run, effects, policies
from normtest_tf.analysis.comparisons import MIN_CELLS, Comparison
from normtest_tf.analysis.published import TREATMENT, Condition, PublishedTable
from normtest_tf.datasets import DATASETS
from normtest_tf.normalization import CONTROL, Setting
from normtest_tf.runs import RULES, Rule
from normtest_tf.runs.folder import BEST_TEST
from normtest_tf.text import signed

Row: TypeAlias = dict[str, Any]

CHANNELS = ("red", "green", "blue")
_COUNTS = ("train_examples", "validation_examples", "test_examples")
_P_VALUES = ("t_p", "t_p_holm", "equivalence_p", "equivalence_p_holm")


def accuracy_rows(
    results: Results, rule: Rule, published: Sequence[PublishedTable]
) -> list[Row]:
    """Returns a row for each data set, model and setting, with accuracies by rule.

    The published accuracy is that of the first table with the condition, and the
    difference from it is our mean by its rule, at the best test epoch. `rule`
    determines which setting is `best` in its cell.
    """
    rows = []
    for cell in results.cells:
        of_cell = [
            _accuracy_row(results, Condition(*cell, setting), rule, published)
            for setting in results.settings
            if results.runs_of(cell, setting)
        ]
        best = max(row[f"{rule.name}_mean"] for row in of_cell)
        for row in of_cell:
            row["best"] = int(row[f"{rule.name}_mean"] == best)
        rows += of_cell
    return rows


def _accuracy_row(
    results: Results, ours: Condition, rule: Rule, published: Sequence[PublishedTable]
) -> Row:
    cell, setting = ours.cell, ours.normalization
    runs = results.runs_of(cell, setting)
    row: Row = {**ours._asdict(), "n": len(runs), "best": 0}
    for each in RULES.values():
        accuracies = results.accuracies(cell, setting, each)
        estimate = effects.estimate_mean(100 * np.array(list(accuracies.values())))
        row |= {
            f"{each.name}_{name}": getattr(estimate, name)
            for name in ("mean", "sd", "low", "high")
        }
    # More seeds don't reduce this uncertainty, due to the choice of test images, but
    # settings largely share it, since they are tested on the same ones.
    examples = runs[0].config.resolved.test_examples
    error = effects.binomial_standard_error(row[f"{rule.name}_mean"] / 100, examples)
    row["test_set_error"] = 100 * error
    names = ("published", "published_n", "published_in", "difference")
    row |= dict.fromkeys(names)
    for table in published:
        if theirs := table.accuracies.get(ours):
            mean = 100 * float(np.mean(theirs))
            difference = row[f"{BEST_TEST.name}_mean"] - mean
            values = (mean, len(theirs), table.title, difference)
            return row | dict(zip(names, values, strict=True))
    return row


def neighbours(
    results: Results, table: PublishedTable
) -> list[tuple[Condition, Condition]]:
    """Returns our conditions that follow a table's protocol, with published ones.

    These are of the same network, or else of networks of its family.
    """
    return [
        (ours, theirs)
        for cell in results.cells
        for setting in results.settings
        if _follows_protocol(results.runs_of(cell, setting), table)
        for ours in [Condition(*cell, setting)]
        for theirs in _published_neighbours(ours, table)
    ]


def _follows_protocol(runs: Sequence[Run], table: PublishedTable) -> bool:
    """Tells whether all runs have a table's epochs, on all images of their data set."""
    return bool(runs) and all(
        run.config.requested["epochs"] == table.epochs
        and run.config.requested["train_examples"] is None
        and run.config.resolved.validation_examples == 0
        for run in runs
    )


def _published_neighbours(
    condition: Condition, table: PublishedTable
) -> list[Condition]:
    """Returns what was published of a condition's network, or else of its family."""
    if condition in table.accuracies:
        return [condition]
    family = condition.model.rstrip("0123456789")
    return [
        theirs
        for theirs in table.accuracies
        if theirs == condition._replace(model=theirs.model)
        and theirs.model.rstrip("0123456789") == family
    ]


def run_row(run: Run) -> Row:
    """Returns a run's row, with the chosen epoch and its test accuracy by rule."""
    requested, resolved, result = run.config.requested, run.config.resolved, run.result
    asked = (
        *("dataset", "shift", "examples_per_class", "model", "train", "recalibrate"),
        *("optimizer", "normalization", "seed", "epochs"),
    )
    row: Row = {name: requested[name] for name in asked}
    row |= {name: getattr(resolved, name) for name in _COUNTS}
    for rule in RULES.values():
        accuracy = result.test_accuracy(rule)
        correct = accuracy and round(accuracy * resolved.test_examples)
        row[f"{rule.name}_epoch"] = getattr(result, rule.epoch_key)
        row[f"{rule.name}_accuracy"] = accuracy and 100 * accuracy
        row[f"{rule.name}_correct"] = correct
    return row | {"total_seconds": result.total_seconds}


def effect_rows(comparisons: Sequence[Comparison]) -> list[Row]:
    """Returns paired differences, a row for each comparison and cell.

    The last row of each comparison is its mean over cells, with fewer columns. There
    are columns on the noise floor, and on the comparison image by image, if any cell
    has them.
    """
    rows: list[Row] = []
    has_noise = any(comparison.noise for comparison in comparisons)
    has_images = any(comparison.by_image for comparison in comparisons)
    for comparison in comparisons:
        shared = {
            "treatment": comparison.treatment,
            "control": comparison.control,
            "rule": comparison.rule.name,
            "margin": comparison.margin,
        }
        for cell, judgement in comparison.judgements.items():
            row = shared | cell._asdict() | _mean("pairs", judgement.effect)
            row |= {name: getattr(judgement, name) for name in _P_VALUES}
            row["pairs_needed"] = judgement.pairs_needed
            row["verdict"] = judgement.verdict.kind
            row["in_words"] = judgement.verdict.text
            row["controls"] = comparison.controls[cell]
            if has_noise:
                floor = comparison.noise.get(cell)
                row |= {"noise_n": floor and floor.n, "noise_rms": floor and floor.rms}
            if has_images:
                found = comparison.by_image.get(cell)
                row |= {
                    "images_low": found and found.effect.low,
                    "images_high": found and found.effect.high,
                    "mcnemar_p": found and found.mcnemar_p,
                }
            rows.append(row)
        shared |= {"dataset": "all", "model": "all"}
        rows.append(shared | _mean("cells", comparison.over_cells))
    return rows


def _mean(unit: str, effect: effects.Estimate) -> Row:
    values = (unit, effect.n, effect.mean, effect.sd, effect.low, effect.high)
    names = ("unit", "n", "mean", "sd", "t_low", "t_high")
    return dict(zip(names, values, strict=True))


def policy_rows(results: Results, comparisons: Sequence[Comparison]) -> list[Row]:
    """Returns what each policy lost, on all cells and on those of a kind of images.

    There are none unless `TREATMENT` is compared with `CONTROL` in a few cells.
    """
    for found in comparisons:
        is_it = (found.treatment, found.control) == (TREATMENT, CONTROL)
        if is_it and len(found.judgements) >= MIN_CELLS:
            return [
                {
                    "policy": each.policy,
                    "cells": cells,
                    "n": len(lost),
                    "mean_lost": float(np.mean(lost)),
                    "worst_lost": max(lost),
                }
                for each in policies.losses(results, found)
                for cells, lost in (
                    ("all", each.unshifted + each.shifted),
                    ("unshifted", each.unshifted),
                    ("shifted", each.shifted),
                )
                if lost
            ]
    return []


def data_set_rows(results: Results) -> list[Row]:
    """Returns a row for each data set and distinct normalization.

    It has mean and std of the training images' channels after the normalization, pooled
    over pixels and averaged over seeds (whose validation images differ): NaN for a
    setting without constants, and where no run has measured the images.
    """
    rows: list[Row] = []
    for dataset in dict.fromkeys(run.name.dataset for run in results.runs):
        members = [run for run in results.runs if run.name.dataset == dataset]
        own = [_constants(run) for run in members if run.setting.standardises]
        measured = [each for each in own if np.isfinite(each).all()]
        mean, std = np.mean(measured or np.full([1, 2, 3], np.nan), axis=0)
        resolved = members[0].config.resolved
        for setting, models, constants in _normalizations(members):
            after = [(mean - constants[0]) / constants[1], std / constants[1]]
            if setting.standardises:
                after = [np.zeros(3), np.ones(3)]
            row: Row = {"dataset": dataset}
            row |= {name: getattr(resolved, name) for name in _COUNTS}
            row |= {
                "classes": len(resolved.class_names),
                "size": "{}x{}".format(*resolved.image_shape),
                "normalization": setting.name,
                "models": " ".join(models),
            }
            for statistic, values in zip(("mean", "std"), after, strict=True):
                names = (f"{statistic}_{channel}" for channel in CHANNELS)
                row |= zip(names, values.tolist(), strict=True)
            rows.append(row)
    return rows


def _constants(run: Run) -> np.ndarray:
    """Returns mean and std that a run normalises with, float `[2, 3]`; NaN for none."""
    found = run.config.resolved.statistics
    return np.array([found.mean, found.std] if found else np.full([2, 3], np.nan))


def _normalizations(
    members: Sequence[Run],
) -> list[tuple[Setting, dict[str, None], np.ndarray]]:
    """Returns the settings with their constants and the models that share these.

    Constants that are the images' own statistics count as shared by all models.
    """
    groups: dict[tuple[str, bytes], tuple[Setting, dict[str, None], np.ndarray]] = {}
    for run in members:
        constants = _constants(run)
        own = b"" if run.setting.standardises else constants.tobytes()
        key = (run.setting.name, own)
        _, models, _ = groups.setdefault(key, (run.setting, {}, constants))
        models[run.name.model] = None
    return list(groups.values())


def published_rows(published: Sequence[PublishedTable], results: Results) -> list[Row]:
    """Returns published differences in points, and ours by the published rule."""
    rows = []
    for table in published:
        for condition, treated in table.accuracies.items():
            control = table.accuracies.get(condition._replace(normalization=CONTROL))
            if condition.normalization != TREATMENT or not control:
                continue
            ours = results.paired_differences(
                condition.cell, TREATMENT, CONTROL, BEST_TEST
            )
            effect = effects.estimate_mean(list(ours.values()))
            rows.append(
                {
                    "published_in": table.title,
                    "dataset": condition.dataset,
                    "model": condition.model,
                    "n": len(treated),
                    "difference": 100 * float(np.mean(treated) - np.mean(control)),
                    "in_words": _in_words(condition.dataset, treated, control),
                    "ours_n": effect.n,
                    "ours": effect.mean,
                    "ours_half_width": effect.half_width,
                }
            )
    return rows


def _in_words(dataset: str, treated: Sequence[float], control: Sequence[float]) -> str:
    """Words the difference of two single runs on a whole test set; else empty.

    The standard error takes the accuracies as independent: an upper bound, since models
    tend to misclassify the same images. Variation from seed to seed comes on top.
    """
    if len(treated) != 1 or len(control) != 1 or dataset not in DATASETS:
        return ""
    examples = DATASETS[dataset].test_examples
    pair = (treated[0], control[0])
    errors = (effects.binomial_standard_error(each, examples) for each in pair)
    return (
        f"{signed(100 * (treated[0] - control[0]))} points; the test set alone gives a "
        f"standard error of up to {100 * math.hypot(*errors):.2f}"
    )
