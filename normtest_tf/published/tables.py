"""Published accuracies as a table: runs and their conditions."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from normtest_tf.runs import Cell


class Condition(NamedTuple):
    """What runs share that differ only by chance.

    Attributes:
        dataset: The data set's name in result paths.
        model: A key of `backbones.ARCHITECTURES`.
        normalization: A key of `normalization.SETTINGS`.
    """

    dataset: str
    model: str
    normalization: str

    @property
    def cell(self) -> Cell:
        """The data set and the model."""
        return Cell(self.dataset, self.model)


@dataclasses.dataclass(frozen=True)
class PublishedRun:
    """One run's accuracy.

    Attributes:
        condition: Data set, model and setting.
        accuracy: The test accuracy of the best test epoch, from 0 to 1.
    """

    condition: Condition
    accuracy: float


@dataclasses.dataclass(frozen=True)
class PublishedTable:
    """Accuracies to compare with.

    Attributes:
        title: Their name in tables and figures.
        description: Where they come from, and their known weaknesses.
        runs: In the order of data sets, models, settings and seeds.
    """

    title: str
    description: str
    runs: tuple[PublishedRun, ...]

    @property
    def accuracies(self) -> dict[Condition, list[float]]:
        """The accuracies, 0 to 1, by condition."""
        values: dict[Condition, list[float]] = {}
        for run in self.runs:
            values.setdefault(run.condition, []).append(run.accuracy)
        return values
