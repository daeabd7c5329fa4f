"""What a diagnosis found: plain data, which can be written as JSON or as text."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from normtest_tf.diagnosis.linear_probe import Paired
from normtest_tf.diagnosis.mismatch import Distance
from normtest_tf.diagnosis.parts import Parts
from normtest_tf.diagnosis.recommendation import Prediction
from normtest_tf.normalization import ChannelStatistics


@dataclasses.dataclass(frozen=True)
class SettingFindings:
    """What was measured under one setting.

    Attributes:
        name: The setting.
        statistics: Its constants, in RGB order; None if it has none.
        input_mean: Three means of the normalised images, in the network's order.
        input_std: Likewise, standard deviations.
        distances: Between the stored statistics and the data's, by layer.
        reestimated: The same after the statistics were re-estimated on the data.
        displacements: Of the last features from the control's, by mode: `stored`,
            `batch`, `reestimated`; a network without batch normalization has `stored`
            only, which is its only mode.
        accuracies: Of a linear classifier of the features, leave-one-out, in percent,
            by mode: `stored`, `reestimated`. Empty without labels.
        differences: The same minus the control's, in points, by mode.
    """

    name: str
    statistics: ChannelStatistics | None
    input_mean: tuple[float, ...]
    input_std: tuple[float, ...]
    distances: tuple[Distance, ...]
    reestimated: tuple[Distance, ...]
    displacements: dict[str, float]
    accuracies: dict[str, float]
    differences: dict[str, Paired]


@dataclasses.dataclass(frozen=True)
class Explanation:
    """A diagnosis of one model and one data set.

    Attributes:
        model: What the model is called.
        data: What the images are called.
        images: How many were used.
        image_shape: Height, width and 3.
        layers: Names of the batch normalizations, by depth.
        control: The setting that others are compared with.
        treatment: The setting that the parts and predictions are about; None if there
            is only the control.
        settings: What was measured under each.
        parts: The split of the difference between treatment and control by mode. Empty
            if it can't be split.
        predictions: What to expect, by way of training.
        notes: Sentences that the user should read.
    """

    model: str
    data: str
    images: int
    image_shape: tuple[int, int, int]
    layers: tuple[str, ...]
    control: str
    treatment: str | None
    settings: tuple[SettingFindings, ...]
    parts: dict[str, Parts]
    predictions: tuple[Prediction, ...]
    notes: tuple[str, ...]

    def setting(self, name: str) -> SettingFindings:
        """Returns what was measured under a setting; raises KeyError if none was."""
        return {found.name: found for found in self.settings}[name]

    def to_json(self) -> dict[str, Any]:
        """Returns the findings for `json.dumps`; what is not finite is None."""
        return _plain(dataclasses.asdict(self))

    def to_text(self) -> str:
        """Returns the findings as text for a terminal."""
        from normtest_tf.diagnosis import words

        return words.text(self)

    def to_markdown(self) -> str:
        """Returns the findings as a page in Markdown, without the figure."""
        from normtest_tf.diagnosis import words

        return words.markdown(self)


def _plain(value: Any) -> Any:  # noqa: ANN401  (any JSON)
    """Returns a value with lists for tuples and None for what is not finite."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
