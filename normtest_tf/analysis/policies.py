"""What would have been lost by choosing between two settings by a rule."""

from __future__ import annotations

import csv
import math
import pathlib
from collections.abc import Mapping

from normtest_tf import errors
from normtest_tf.analysis.comparisons import Comparison
from normtest_tf.analysis.results import Results
from normtest_tf.diagnosis.advice import SURE, take
from normtest_tf.normalization import CONTROL, TREATMENT
from normtest_tf.normalization.statistics import FAR, pixel_distance
from normtest_tf.runs import Cell

# The pixel distance above which a policy takes `TREATMENT`, and else `CONTROL`.
POLICIES = {
    f"always {CONTROL}": math.inf,
    f"always {TREATMENT}": -math.inf,
    f"{TREATMENT} if the pixel distance is above {FAR:g}": FAR,
}


PROBE = f"{TREATMENT} if a linear probe favours it by {SURE:g} standard errors"


def read_probes(path: pathlib.Path) -> dict[Cell, bool]:
    """Reads where linear probes say `TREATMENT`, as `experiments.explain` writes them.

    Tables of several may be joined, headers included.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["dataset"] != "dataset"]
        probes = {}
        for row in rows:
            cell = Cell(row["dataset"], row["model"])
            if cell in probes:
                raise ValueError(f"it has two rows of {row['dataset']}, {row['model']}")
            numbers = float(row["points"]), float(row["standard_error"])
            probes[cell] = take(*numbers) == TREATMENT
        return probes
    except Exception as error:
        advice = "experiments.explain writes dataset, model, points, standard_error"
        raise errors.unreadable(path, error, advice) from error


def losses(
    results: Results, comparison: Comparison, probes: Mapping[Cell, bool]
) -> dict[str, dict[Cell, float]]:
    """Returns the points that every policy lost to each cell's better setting."""
    gains = {cell: each.effect.mean for cell, each in comparison.judgements.items()}
    distances = {cell: distance(results, cell) for cell in gains}
    takes = {
        policy: {cell: distances[cell] > threshold for cell in gains}
        for policy, threshold in POLICIES.items()
    }
    takes[PROBE] = {cell: probes[cell] for cell in gains if cell in probes}
    return {
        policy: {
            cell: max(gains[cell], 0.0) - gains[cell] * take[cell] for cell in take
        }
        for policy, take in takes.items()
    }


def distance(results: Results, cell: Cell) -> float:
    """Returns the pixel distance of a cell, from the constants of its runs."""
    images, pretraining = (
        results.runs_of(cell, setting)[0].config.resolved.statistics
        for setting in (TREATMENT, CONTROL)
    )
    assert images is not None  # Both settings have constants.
    assert pretraining is not None
    return pixel_distance(images, pretraining)
