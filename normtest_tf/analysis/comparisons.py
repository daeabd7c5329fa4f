"""One setting against another, over all cells of a results folder."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy import stats

from normtest_tf.analysis import effects, verdicts
from normtest_tf.analysis.results import Results
from normtest_tf.normalization import CONTROL, CONTROL_AGAIN, SETTINGS
from normtest_tf.runs import Cell, Rule
from normtest_tf.runs.folder import FINAL


@dataclasses.dataclass(frozen=True)
class NoiseFloor:
    """What chaos alone does in a cell.

    `CONTROL_AGAIN` is `CONTROL` with inputs multiplied by 1 + 1e-5, which no network
    can tell from 1: pairs of the two differ by what training makes of a rounding error,
    and no comparison of settings can be sharper.
    """

    n: int  # The number of pairs.
    rms: float  # The root mean square of their differences, in percentage points.

    def half_width(self, pairs: int, confidence: float = 0.95) -> float:
        """Returns how far from 0 the mean difference of equal settings would be.

        This is Student's t with `n` degrees of freedom: the mean is known to be 0.
        """
        quantile = float(stats.t.ppf((1 + confidence) / 2, self.n))
        return quantile * self.rms / math.sqrt(pairs)


def noise_floors(results: Results, rule: Rule) -> dict[Cell, NoiseFloor]:
    """Returns the noise floor of every cell whose control arm differs at all.

    In 16 bits a network may get the very inputs of `CONTROL`, with the factor rounded
    away: `keras_mobilenet_025` does in bfloat16. That says nothing about chaos.
    """
    floors = {}
    for cell in results.cells:
        found = results.paired_differences(cell, CONTROL_AGAIN, CONTROL, rule)
        values = np.array(list(found.values()))
        if values.any():
            floors[cell] = NoiseFloor(len(values), math.sqrt(np.mean(values**2)))
    return floors


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One setting against another, over all cells that have both."""

    treatment: str  # The setting that positive differences favour.
    control: str
    rule: Rule
    margin: float  # The smallest difference that matters, in percentage points.
    seed_differences: dict[Cell, dict[int, float]]  # In points, by seed.
    judgements: dict[Cell, verdicts.Judgement]
    # A cell counts as one observation, whatever the spread of its pairs, so the
    # interval generalises to new data sets and models.
    over_cells: effects.Estimate
    noise: dict[Cell, NoiseFloor]  # Of the cells where it was measured.

    def __str__(self) -> str:
        """Returns the comparison as a difference of settings."""
        return f"{self.treatment} - {self.control}"


def compare(
    results: Results,
    treatment: str,
    control: str = CONTROL,
    *,
    rule: Rule = FINAL,
    margin: float = 0.5,
) -> Comparison | None:
    """Compares two settings, seed by seed, in every cell that has both.

    Args:
        results: The runs.
        treatment: The name of a setting.
        control: The name of the setting to subtract.
        rule: How to choose the epoch whose accuracy counts.
        margin: The smallest difference that matters, in percentage points.

    Returns:
        The comparison; None if no cell has both settings for the same seed.
    """
    found = {
        cell: by_seed
        for cell in results.cells
        if (by_seed := results.paired_differences(cell, treatment, control, rule))
    }
    if not found:
        return None
    values = {cell: list(by_seed.values()) for cell, by_seed in found.items()}
    return Comparison(
        treatment=treatment,
        control=control,
        rule=rule,
        margin=margin,
        seed_differences=found,
        judgements=verdicts.judge_family(
            values,
            treatment=treatment,
            control=control,
            least_sds={cell: _least_sd(results, cell) for cell in values},
            margin=margin,
        ),
        over_cells=effects.estimate_mean([float(np.mean(v)) for v in values.values()]),
        noise={} if treatment == CONTROL_AGAIN else noise_floors(results, rule),
    )


def _least_sd(results: Results, cell: Cell) -> float:
    """Returns the least sd that a cell's paired differences can have, in points."""
    return effects.grid_sd(results.runs_of(cell)[0].config.resolved.test_examples)


def compare_all(results: Results, *, rule: Rule, margin: float) -> list[Comparison]:
    """Compares every setting with `CONTROL`, in the order of the registry.

    A setting that folds is also subtracted from the one whose statistics it has: they
    differ only in where training starts.
    """
    pairs = [(name, CONTROL) for name in results.settings if name != CONTROL]
    pairs += [
        (name.removesuffix("_folded"), name)
        for name in results.settings
        if SETTINGS[name].folds
    ]
    found = [compare(results, *pair, rule=rule, margin=margin) for pair in pairs]
    return [comparison for comparison in found if comparison is not None]
