"""The tables of a report as data: accuracies, runs, effects, data sets, published ones.

Each is a list of dicts, one per row, with accuracies in percent and differences in
percentage points; what is not known is NaN or None. The CSV files and the Markdown
tables are both made from these rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np

from normtest_tf.analysis import Results, Run, effects, policies
from normtest_tf.analysis.comparisons import MIN_CELLS, Comparison
from normtest_tf.analysis.published import Condition, PublishedTable
from normtest_tf.datasets import DATASETS, NO_SHIFT
from normtest_tf.normalization import Setting
from normtest_tf.runs import RULES, Cell, Rule
from normtest_tf.runs.config import FIELDS
from normtest_tf.runs.folder import BEST_TEST
from normtest_tf.training import choices

Row: TypeAlias = dict[str, Any]

CHANNELS = ("red", "green", "blue")
_COUNTS = ("train_examples", "validation_examples", "test_examples")
_RECIPE = (
    *("train_examples", "test_examples", "validation_examples"),
    *("batch_size", "learning_rate", "warmup_epochs"),
)
_P_VALUES = ("t_p", "t_p_holm", "equivalence_p", "equivalence_p_holm")


def accuracy_rows(
    results: Results, rule: Rule, published: Sequence[PublishedTable]
) -> list[Row]:
    """Returns a row for each data set, model and setting; `best` is by `rule`."""
    rows = []
    for cell in results.cells:
        of_cell = [
            _accuracy_row(results, Condition(*cell, setting), rule, published)
            for setting in results.settings
            if results.runs_of(cell, setting)
        ]
        means = sorted(row[f"{rule.name}_mean"] for row in of_cell)
        for row in of_cell:
            row["best"] = int(row[f"{rule.name}_mean"] == means[-1])
            has_lead = row["best"] and len(means) > 1
            row["lead"] = means[-1] - means[-2] if has_lead else None
        rows += of_cell
    return rows


def _accuracy_row(
    results: Results, ours: Condition, rule: Rule, published: Sequence[PublishedTable]
) -> Row:
    cell, setting = ours.cell, ours.normalization
    runs = results.runs_of(cell, setting)
    row: Row = {**ours._asdict(), "n": len(runs), "best": 0}
    images = runs[0].config.resolved.test_examples
    least_sd = effects.grid_sd(images, controls=math.inf)
    for each in RULES.values():
        accuracies = results.accuracies(cell, setting, each)
        percent = 100 * np.array(list(accuracies.values()))
        estimate = effects.estimate_mean(percent, least_sd)
        row |= {
            f"{each.name}_{name}": getattr(estimate, name)
            for name in ("mean", "sd", "low", "high")
        }
    # More seeds don't reduce this uncertainty, due to the choice of test images, but
    # settings largely share it, since they are tested on the same ones.
    ours_mean = row[f"{rule.name}_mean"]
    row["test_set_error"] = math.sqrt(ours_mean * (100 - ours_mean) / images)
    names = ("published", "published_n", "published_in", "difference", "same_recipe")
    row |= dict.fromkeys(names)
    for table in sorted(published, key=lambda t: follows_recipe(runs, t) is False):
        if theirs := table.accuracies.get(ours):
            mean = 100 * fmean(theirs.values())
            difference = row[f"{BEST_TEST.name}_mean"] - mean
            is_same = follows_recipe(runs, table)
            values = (mean, len(theirs), table.title, difference, is_same)
            return row | dict(zip(names, values, strict=True))
    return row


def neighbours(
    results: Results, table: PublishedTable
) -> list[tuple[Condition, Condition]]:
    """Returns our conditions with the closest of a table, unless recipes differ."""
    found = []
    for cell, setting in itertools.product(results.cells, results.settings):
        ours = Condition(*cell, setting)
        runs = results.runs_of(cell, setting)
        if runs and follows_recipe(runs, table) is not False:
            family = [
                theirs
                for theirs in table.accuracies
                if theirs == ours._replace(model=theirs.model)
                and _family(theirs) == _family(ours)
            ]
            closest = [ours] if ours in table.accuracies else family
            found += [(ours, theirs) for theirs in closest]
    return found


def follows_recipe(runs: Sequence[Run], table: PublishedTable) -> bool | None:
    """Tells whether runs have a table's recipe; None if that is unknown.

    The defaults of a run are the PyTorch study's recipe; its regime is in its cell.
    """
    if table.epochs is None:
        return None
    return all(
        run.config.resolved.augmentation == choices.PAD_CROP_FLIP
        and _has_own_size(run)
        and run.config.requested["epochs"] == table.epochs
        and all(
            run.config.requested.get(name, FIELDS[name].default) == FIELDS[name].default
            for name in _RECIPE
        )
        for run in runs
    )


def _has_own_size(run: Run) -> bool:
    """Tells whether images have the size of their data set, if that is known."""
    entry = DATASETS.get(run.name.dataset)
    return entry is None or run.config.resolved.image_shape[0] == entry.image_size


def _family(condition: Condition) -> str:
    return condition.model.rstrip("0123456789")


def run_row(run: Run) -> Row:
    """Returns a run's row, with the chosen epoch and its test accuracy by rule."""
    requested, resolved, result = run.config.requested, run.config.resolved, run.result
    asked = (
        *("dataset", "shift", "examples_per_class", "model", "train", "recalibrate"),
        *("optimizer", "normalization", "seed", "epochs"),
    )
    recipe = ("learning_rate", "batch_size")
    row: Row = {name: requested[name] for name in asked}
    row |= {name: getattr(resolved, name) for name in _COUNTS}
    for rule in RULES.values():
        accuracy = result.test_accuracy(rule)
        correct = accuracy and round(accuracy * resolved.test_examples)
        row[f"{rule.name}_epoch"] = getattr(result, rule.epoch_key)
        row[f"{rule.name}_accuracy"] = accuracy and 100 * accuracy
        row[f"{rule.name}_correct"] = correct
    row["total_seconds"] = result.total_seconds
    row |= {name: requested[name] for name in recipe}
    return row | {"image_size": "{}x{}".format(*resolved.image_shape)}


def effect_rows(comparisons: Sequence[Comparison]) -> list[Row]:
    """Returns a row for each comparison and cell, and for each mean over cells."""
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


def policy_rows(
    results: Results, comparisons: Sequence[Comparison], probes: Mapping[Cell, bool]
) -> list[Row]:
    """Returns what each policy lost, by kind of cells; none for a few of them."""
    found = next((each for each in comparisons if each.is_planned), None)
    if found is None or len(found.judgements) < MIN_CELLS:
        return []
    requested = {
        cell: results.runs_of(cell)[0].config.requested for cell in found.judgements
    }
    heads = {cell for cell in requested if requested[cell]["train"] == choices.HEAD}
    shifted = {cell for cell in requested if requested[cell]["shift"] != NO_SHIFT}
    cells = set(requested)
    ways = {"": cells}
    if heads and heads != cells:
        ways |= {"head": heads, "moving": cells - heads}
    images = {"": cells, "unshifted": cells - shifted, "shifted": shifted}
    kinds = {
        f"{way} {image}".strip() or "all": [c for c in requested if c in one & other]
        for way, one in ways.items()
        for image, other in images.items()
    }
    return [
        {
            "policy": policy,
            "cells": kind,
            "n": len(cells),
            "mean_lost": float(np.mean([by_cell[cell] for cell in cells])),
            "worst_lost": max(by_cell[cell] for cell in cells),
        }
        for policy, by_cell in policies.losses(results, found, probes).items()
        for kind, cells in kinds.items()
        if cells and by_cell.keys() >= set(cells)
    ]


def data_set_rows(results: Results) -> list[Row]:
    """Returns a row for each data set at a size, and distinct normalization.

    Mean and std are those of the training images after it, averaged over seeds, whose
    validation images differ; NaN where they are unknown.
    """
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in results.runs:
        found = run.config.resolved
        counts = [getattr(found, name) for name in _COUNTS]
        key = (run.name.dataset, found.image_shape, *counts)
        groups.setdefault(key, []).append(run)
    rows: list[Row] = []
    for (dataset, *_), members in groups.items():
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
