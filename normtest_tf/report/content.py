"""Everything that a report states, computed once."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from normtest_tf import errors
from normtest_tf.analysis import Cell, Results, calibration
from normtest_tf.analysis.calibration import Outcome
from normtest_tf.analysis.comparisons import Comparison, compare_all
from normtest_tf.normalization import CONTROL
from normtest_tf.published import PublishedTable
from normtest_tf.published.editions import TREATMENT
from normtest_tf.report import predictions, rows
from normtest_tf.report.rows import Row
from normtest_tf.runs import Rule
from normtest_tf.text import counted


@dataclasses.dataclass(frozen=True)
class Content:
    """What tables, figures and text of a report are made from.

    Attributes:
        results: The runs.
        rule: How to choose the epoch that the verdicts use.
        comparisons: Each setting against the control; empty if there are no pairs.
        published: Published accuracies to compare with.
        accuracies: From `rows.accuracy_rows`.
        data_sets: From `rows.data_set_rows`.
        published_differences: From `rows.published_rows`.
        outcomes: What a diagnosis predicted, beside what was measured.
        unpredicted: The cells with a measured effect for which diagnoses were given
            but none predicts anything.
    """

    results: Results
    rule: Rule
    comparisons: list[Comparison]
    published: Sequence[PublishedTable]
    accuracies: list[Row]
    data_sets: list[Row]
    published_differences: list[Row]
    outcomes: list[Outcome]
    unpredicted: list[Cell]

    def published_for(self, comparison: Comparison) -> dict[Cell, float]:
        """Returns the published differences to show with a comparison.

        Args:
            comparison: One of `comparisons`.

        Returns:
            Percentage points, for cells of the comparison; if several tables have a
            cell, the first wins. Empty for settings that the published
            runs don't compare.
        """
        if (comparison.treatment, comparison.control) != (TREATMENT, CONTROL):
            return {}
        found = {
            Cell(row["dataset"], row["model"]): row["difference"]
            for row in reversed(self.published_differences)
        }
        return {cell: found[cell] for cell in comparison.judgements if cell in found}


def gather(
    results: Results,
    *,
    rule: Rule,
    margin: float,
    published: Sequence[PublishedTable] = (),
    explanations: pathlib.Path | None = None,
) -> Content:
    """Computes everything that a report states.

    Args:
        results: The runs.
        rule: How to choose the epoch that the verdicts use.
        margin: The smallest difference that matters, in percentage points.
        published: Published accuracies to compare with.
        explanations: A folder of diagnoses; see `predictions.Predictions`.

    Returns:
        What `document` writes down and the figures show.

    Raises:
        UsageError: If a diagnosis is unusable, or there are measured effects and none
            has a prediction.
    """
    outcomes, unpredicted = _outcomes(results, rule, explanations)
    return Content(
        results=results,
        rule=rule,
        comparisons=compare_all(results, rule=rule, margin=margin),
        published=published,
        accuracies=rows.accuracy_rows(results, rule, published),
        data_sets=rows.data_set_rows(results),
        published_differences=rows.published_rows(published, results),
        outcomes=outcomes,
        unpredicted=unpredicted,
    )


def _outcomes(
    results: Results, rule: Rule, explanations: pathlib.Path | None
) -> tuple[list[Outcome], list[Cell]]:
    """Returns what was predicted and measured, and the cells without a prediction."""
    if explanations is None:
        return [], []
    predicted = predictions.Predictions(explanations)
    outcomes = calibration.compare(results, predicted.of, TREATMENT, rule)
    missing = calibration.without_prediction(results, outcomes, TREATMENT, rule)
    if missing and not outcomes:
        raise errors.UsageError(
            f"--explanations={explanations} predicts nothing for the "
            f"{counted(len(missing), 'cell')} that were measured, such as "
            f"{missing[0].dataset}/{missing[0].model}; each needs a diagnosis written "
            "with experiments.explain --out_dir=EXPLANATIONS/<dataset>/<model>"
        )
    return outcomes, missing
