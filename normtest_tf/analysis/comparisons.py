"""One setting against another, over all cells of a results folder."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from normtest_tf.analysis import effects, verdicts
from normtest_tf.analysis.results import Results
from normtest_tf.normalization import CONTROL, CONTROL_AGAIN, SETTINGS, TREATMENT
from normtest_tf.runs import Cell, Rule
from normtest_tf.runs.folder import FINAL
from normtest_tf.training.choices import SEEDED

MIN_CELLS = 3  # That an interval over cells needs.
# What runs may differ in and be compared, but not without a word.
_VERSIONS = ("normtest_tf", "python", "keras", "tensorflow", "jax", "torch")
_HARDWARE = ("cpu", "cpu_cores", "gpus")


@dataclasses.dataclass(frozen=True)
class NoiseFloor:
    """What chaos alone does in a cell.

    `CONTROL_AGAIN` is `CONTROL` with inputs multiplied by 1 + 1e-5, which no network
    can tell from 1: pairs of the two differ by what training makes of a rounding error,
    and no comparison of settings can be sharper.
    """

    n: int  # The number of pairs.
    rms: float  # The root mean square of their differences, in percentage points.

    def half_width(self, pairs: int, controls: int) -> float:
        """Returns how far from 0 the mean difference of equal settings would be.

        This is Student's t with `n` degrees of freedom: the mean is known to be 0. From
        a mean of `controls` runs, differences have (1 + 1 / controls) / 2 times the
        variance of those from one.
        """
        quantile = float(stats.t.ppf(effects.QUANTILE, self.n))
        return quantile * self.rms * math.sqrt((1 + 1 / controls) / 2 / pairs)


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
class ByImage:
    """A cell's difference, image by image."""

    effect: effects.Estimate  # Over test images and seeds, both taken as samples.
    mcnemar_p: float  # Of McNemar's exact test of a single pair; NaN for more.


def by_image(
    results: Results, cell: Cell, treatment: str, controls: Sequence[str], rule: Rule
) -> ByImage | None:
    """Compares which images are right, less the mean of `controls`, if known."""
    names = (treatment, *controls)
    runs = [{r.name.seed: r for r in results.runs_of(cell, name)} for name in names]
    seeds = set.intersection(*map(set, runs))
    found = [[of[seed].correct(rule) for seed in sorted(seeds)] for of in runs]
    configs = [of[seed].config for of in runs for seed in seeds]
    # With --subset=seeded, test images differ by seed only with --test_examples.
    images = {
        config.requested.get("test_examples") and config.data_fingerprint
        if config.requested["subset"] == SEEDED
        else config.data_fingerprint
        for config in configs
    }
    sizes = {-1 if row is None else len(row) for of in found for row in of}
    if len(images) > 1 or len(sizes) > 1 or -1 in sizes:
        return None
    treated, *subtracted = np.array(found)
    values = 100 * (treated - np.mean(subtracted, axis=0))
    p_value = math.nan
    if len(seeds) == len(controls) == 1:
        p_value = effects.mcnemar_p_value(treated[0], subtracted[0][0])
    return ByImage(effects.estimate_crossed(values.T), p_value)


def unlike_pairs(
    results: Results,
    found: dict[Cell, dict[int, float]],
    settings: Mapping[Cell, Sequence[str]],
) -> dict[Cell, tuple[int, list[str]]]:
    """Returns how many pairs differ in versions or hardware, and in which, by cell."""
    counted = {}
    for cell, seeds in found.items():
        one, *others = (
            {run.name.seed: run.config.environment for run in results.runs_of(cell, s)}
            for s in settings[cell]
        )
        differing = [
            [
                key
                for key in _VERSIONS + _HARDWARE
                if any(one[seed].get(key) != other[seed].get(key) for other in others)
            ]
            for seed in seeds
        ]
        if any(differing):
            names = list(dict.fromkeys(itertools.chain(*differing)))
            counted[cell] = (sum(map(bool, differing)), names)
    return counted


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One setting against another, over all cells that have both."""

    treatment: str  # The setting that positive differences favour.
    control: str
    rule: Rule
    margin: float  # The smallest difference that matters, in percentage points.
    seed_differences: dict[Cell, dict[int, float]]  # In points, by seed.
    # Runs whose mean is subtracted: 2 where `CONTROL_AGAIN` has the same seeds, else 1.
    controls: dict[Cell, int]
    judgements: dict[Cell, verdicts.Judgement]
    # Of these cells' means, with the interval that their spread gives, from three cells
    # on. It says nothing of other cells: these share data sets and models.
    over_cells: effects.Estimate
    noise: dict[Cell, NoiseFloor]  # Of the cells where it was measured.
    by_image: dict[Cell, ByImage]  # Of the cells where all runs have predictions.
    # How many of a cell's pairs differ in versions or hardware, and in which.
    unlike: dict[Cell, tuple[int, list[str]]]

    def __str__(self) -> str:
        """Returns the comparison as a difference of settings."""
        return f"{self.treatment} - {self.control}"

    @property
    def is_planned(self) -> bool:
        """Whether this is the planned comparison; others explore."""
        return (self.treatment, self.control) == (TREATMENT, CONTROL)

    def chaos(self, cell: Cell) -> float | None:
        """Returns how far from 0 chaos alone would take a cell's mean, if known."""
        if cell not in self.noise or cell not in self.judgements:
            return None
        pairs = self.judgements[cell].effect.n
        return self.noise[cell].half_width(pairs, self.controls[cell])


def compare(
    results: Results,
    treatment: str,
    control: str = CONTROL,
    *,
    rule: Rule = FINAL,
    margin: float = 0.5,
) -> Comparison | None:
    """Compares two settings, seed by seed, in every cell that has both.

    Where `CONTROL_AGAIN` was run with the same seeds, the control is the mean of
    `CONTROL` and it: equal but for chaos, of which two runs have less than one.

    Args:
        results: The runs.
        treatment: The name of a setting.
        control: The name of the setting to subtract.
        rule: How to choose the epoch whose accuracy counts.
        margin: The smallest difference that matters, in percentage points.

    Returns:
        The comparison; None if no cell has both settings for the same seed.
    """
    noise = {} if treatment == CONTROL_AGAIN else noise_floors(results, rule)
    found: dict[Cell, dict[int, float]] = {}
    controls: dict[Cell, tuple[str, ...]] = {}
    for cell in results.cells:
        names: tuple[str, ...] = (control,)
        if by_seed := results.paired_differences(cell, treatment, control, rule):
            again = results.paired_differences(cell, CONTROL_AGAIN, CONTROL, rule)
            is_known = cell in noise and by_seed.keys() <= again.keys()
            if control == CONTROL and is_known:
                names = (CONTROL, CONTROL_AGAIN)
                by_seed = {s: round(by_seed[s] - again[s] / 2, 9) for s in by_seed}
            found[cell], controls[cell] = by_seed, names
    if not found:
        return None
    counts = {cell: len(names) for cell, names in controls.items()}
    means = [float(np.mean(list(by_seed.values()))) for by_seed in found.values()]
    least_sds = {
        cell: effects.grid_sd(results.runs_of(cell)[0].config.resolved.test_examples, n)
        for cell, n in counts.items()
    }
    least = min(sd / math.sqrt(len(found[cell])) for cell, sd in least_sds.items())
    over_cells = effects.estimate_mean(means, least)
    if len(means) < MIN_CELLS:
        over_cells = dataclasses.replace(over_cells, low=math.nan, high=math.nan)
    images = {c: by_image(results, c, treatment, controls[c], rule) for c in found}
    return Comparison(
        treatment=treatment,
        control=control,
        rule=rule,
        margin=margin,
        seed_differences=found,
        controls=counts,
        judgements=_judgements(treatment, control, margin, found, least_sds),
        over_cells=over_cells,
        noise=noise,
        by_image={cell: each for cell, each in images.items() if each},
        unlike=unlike_pairs(
            results, found, {c: (treatment, *controls[c]) for c in found}
        ),
    )


def _judgements(
    treatment: str,
    control: str,
    margin: float,
    found: dict[Cell, dict[int, float]],
    least_sds: dict[Cell, float],
) -> dict[Cell, verdicts.Judgement]:
    """Judges cells; those trained in the same way are a family of tests."""
    ways = {cell: cell.model.partition("+")[2] for cell in found}
    judged: dict[Cell, verdicts.Judgement] = {}
    for way in dict.fromkeys(ways.values()):
        judged |= verdicts.judge_family(
            {c: list(found[c].values()) for c in found if ways[c] == way},
            treatment=treatment,
            control=control,
            least_sds=least_sds,
            margin=margin,
        )
    return {cell: judged[cell] for cell in found}


def compare_all(results: Results, *, rule: Rule, margin: float) -> list[Comparison]:
    """Compares every setting with `CONTROL`, in the order of the registry.

    A setting that folds is also subtracted from `TREATMENT`, whose statistics it has:
    they differ only in where training starts.
    """
    pairs = [(name, CONTROL) for name in results.settings if name != CONTROL]
    pairs += [(TREATMENT, name) for name in results.settings if SETTINGS[name].folds]
    found = [compare(results, *pair, rule=rule, margin=margin) for pair in pairs]
    return [comparison for comparison in found if comparison is not None]
