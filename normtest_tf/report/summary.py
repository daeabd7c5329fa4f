"""One cell in a few lines of text: its pairs and their verdict."""

from __future__ import annotations

from normtest_tf.analysis import Cell, Results
from normtest_tf.analysis.comparisons import Comparison
from normtest_tf.text import signed, text_table


def pair_table(results: Results, comparison: Comparison, cell: Cell) -> str:
    """Returns a table of a cell's pairs of runs.

    Args:
        results: The runs.
        comparison: Of two settings.
        cell: One that the comparison has.

    Returns:
        A line per seed, with both test accuracies and their difference.
    """
    control, treatment = (
        results.accuracies(cell, setting, comparison.rule)
        for setting in (comparison.control, comparison.treatment)
    )
    rows = [("seed", comparison.control, comparison.treatment, str(comparison))]
    rows += [
        (
            str(seed),
            f"{control[seed]:.2%}",
            f"{treatment[seed]:.2%}",
            f"{signed(points)} points",
        )
        for seed, points in comparison.seed_differences[cell].items()
    ]
    return text_table(rows)


def sentence(comparison: Comparison, cell: Cell) -> str:
    """Summarises a cell's pairs in two lines: mean and interval, then verdict.

    Args:
        comparison: Of two settings.
        cell: One that the comparison has.
    """
    judgement = comparison.judgements[cell]
    effect = judgement.effect
    numbers = f"{signed(effect.mean)} points"
    if effect.n > 1:
        numbers += (
            f", {effect.confidence:.0%} interval {signed(effect.low)} to "
            f"{signed(effect.high)}, n = {effect.n} pairs"
        )
    verdict = judgement.verdict.text
    return f"{comparison}: {numbers}.\n{verdict[0].upper()}{verdict[1:]}."
