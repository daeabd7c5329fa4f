"""From a results folder's runs to what a report states about them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from normtest_tf.analysis import effects, verdicts
from normtest_tf.analysis.results import Cell, Results

CONTROL = "pretrain"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One setting against another, over all cells that have both.

    Attributes:
        treatment: The setting that is better where differences are positive.
        control: The other one.
        rule: How epochs were chosen; a key of `results.RULES`.
        margin: The difference that matters, in percentage points.
        differences: Paired differences in points, by cell and seed.
        judgements: What they show, by cell.
        pooled: The mean over cells, bootstrapped over cells and seeds.
        over_cells: The same mean with the t interval of the cells' means.
    """

    treatment: str
    control: str
    rule: str
    margin: float
    differences: dict[Cell, dict[int, float]]
    judgements: dict[Cell, verdicts.Judgement]
    pooled: effects.PooledEffect
    over_cells: effects.Estimate


def compare(
    results: Results,
    treatment: str,
    control: str = CONTROL,
    *,
    rule: str = "final",
    margin: float = 0.5,
) -> Comparison | None:
    """Compares two settings, seed by seed, in every cell that has both.

    Args:
        results: The runs.
        treatment: A setting.
        control: The setting to subtract.
        rule: A key of `results.RULES`.
        margin: The smallest difference that matters, in percentage points.

    Returns:
        The comparison; None if no cell has both settings for the same seed.
    """
    differences = {
        cell: results.differences(cell, treatment, control, rule)
        for cell in results.cells
    }
    differences = {cell: pairs for cell, pairs in differences.items() if pairs}
    if not differences:
        return None
    values = {cell: list(pairs.values()) for cell, pairs in differences.items()}
    return Comparison(
        treatment,
        control,
        rule,
        margin,
        differences,
        verdicts.judge_family(
            values, margin=margin, treatment=treatment, control=control
        ),
        effects.pooled_effect(list(values.values())),
        effects.mean_over_cells(list(values.values())),
    )


def comparisons(results: Results, *, rule: str, margin: float) -> list[Comparison]:
    """Compares every setting with `pretrain`; `finetune` comes first."""
    found = [
        compare(results, setting, rule=rule, margin=margin)
        for setting in results.settings
        if setting != CONTROL
    ]
    return [comparison for comparison in found if comparison is not None]


def test_set_error(results: Results, cell: Cell, setting: str, rule: str) -> float:
    """Returns the binomial standard error of a setting's mean accuracy, in points.

    It is what the choice of test images alone leaves open; more seeds don't
    make it smaller, but it is largely shared by the settings, which are tested on
    the same images.
    """
    accuracies = list(results.accuracies(cell, setting, rule).values())
    if not accuracies:
        return math.nan
    examples = results.of(cell, setting)[0].config["resolved"]["test_examples"]
    mean = float(np.mean(accuracies))
    return 100 * effects.binomial_standard_error(mean, examples)
