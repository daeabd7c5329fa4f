"""The findings of a diagnosis: plain data, written as JSON, as text or as a page."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from normtest_tf.diagnosis import distances, rule
from normtest_tf.diagnosis.distances import BATCH, STORED, Distance
from normtest_tf.diagnosis.linear_probe import Paired
from normtest_tf.diagnosis.parts import Parts
from normtest_tf.diagnosis.rule import Prediction
from normtest_tf.normalization import ChannelStatistics
from normtest_tf.text import counted, markdown_table, text_table

MAX_ROWS = 10  # Layers shown; JSON and figure have all.
FIGURE = "distances"
TRAININGS = {
    "all": "all layers",
    "few_images": "all layers, few images or steps",
    "head": "head (frozen backbone)",
    "head_recalibrated": "head, statistics re-estimated",
    "frozen_bn": "frozen batch norm",
}
MODES = {
    STORED: "stored statistics",
    BATCH: "batch statistics",
    "reestimated": "re-estimated",
    "none": "no batch norm",
}
Row = tuple[str, ...]
Table = Callable[[Sequence[Row]], str]


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
        return text(self)

    def to_markdown(self) -> str:
        """Returns the findings as a page in Markdown, without the figure."""
        return markdown(self)


def _plain(value: Any) -> Any:  # noqa: ANN401  (any JSON)
    """Returns a value with lists for tuples and None for what is not finite."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def text(found: Explanation) -> str:
    """Returns a diagnosis for a terminal."""
    lines = [_title(found)]
    for title, body in _sections(found, text_table):
        lines += ["", title, "", body]
    return "\n".join(lines)


def markdown(found: Explanation, figure: str = "") -> str:
    """Returns a diagnosis as a page; `figure` is the name of its PNG file."""
    lines = [f"# {_title(found)}"]
    for title, body in _sections(found, markdown_table):
        lines += ["", f"## {title}", "", body]
        if figure and title == LAYERS:
            lines += ["", f"![distances by depth]({figure})"]
    return "\n".join([*lines, ""])


def _title(found: Explanation) -> str:
    height, width, _ = found.image_shape
    number = counted(found.images, "image")
    return f"{found.model} on {found.data}: {number} of {width}x{height}"


LAYERS = "Stored statistics and the data's, at every batch normalization"


def _sections(found: Explanation, table: Table) -> Iterator[tuple[str, str]]:
    """Yields titles and bodies, the answer first."""
    if found.predictions:
        title = f"What to expect of {found.treatment} instead of {found.control}"
        yield title, _expectations(found, table)
    yield "Channel statistics", table(list(_statistics_rows(found)))
    if found.layers:
        yield LAYERS, _layers(found, table)
    yield "How far the last features move", _features(found, table)
    if found.parts:
        yield "What the difference consists of", _parts(found, table)
    if found.notes:
        yield "Notes", "\n".join(f"- {note}" for note in found.notes)


def _expectations(found: Explanation, table: Table) -> str:
    rows: list[Row] = [
        (
            "way of training",
            "batch norm runs on",
            "displacement",
            "effect, points",
            "confidence",
            "take",
        )
    ]
    rows += [
        (
            TRAININGS[p.training],
            MODES[p.mode],
            f"{p.displacement:.2f}",
            rule.in_words(p),
            p.confidence,
            p.take or "either",
        )
        for p in found.predictions
    ]
    reasons = [f"- {TRAININGS[p.training]}: {p.reason}" for p in found.predictions]
    last = (
        "Displacement is how far the last features move between the two settings, in "
        "units of their spread over images. No constants per channel fix inverted or "
        "grey images."
    )
    return "\n".join([table(rows), "", *reasons, "", last])


def _statistics_rows(found: Explanation) -> Iterator[Row]:
    yield ("setting", "mean", "std", "normalised: mean", "normalised: std")
    for setting in found.settings:
        mean = std = "of each image"
        if setting.statistics is not None:
            mean = _numbers(setting.statistics.mean, 4)
            std = _numbers(setting.statistics.std, 4)
        normalised = (_numbers(setting.input_mean, 2), _numbers(setting.input_std, 2))
        yield (setting.name, mean, std, *normalised)


def _numbers(values: Sequence[float], digits: int) -> str:
    return " ".join(f"{value + 0.0:.{digits}f}" for value in values)


def _layers(found: Explanation, table: Table) -> str:
    """Returns the table of distances by depth, and what of them is the size's."""
    count = len(found.layers)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MAX_ROWS)).round())
    rows: list[Row] = [("layer", *(setting.name for setting in found.settings))]
    for place in chosen.astype(int).tolist():
        cells = (f"{s.distances[place].total:.2f}" for s in found.settings)
        rows.append((f"{place + 1} {found.layers[place]}", *cells))
    rows.append(("all", *(f"{_overall(s):.2f}" for s in found.settings)))
    control = _overall(found.setting(found.control))
    extra = (f"{_overall(s) - control:+.2f}" for s in found.settings)
    rows.append((f"all, less {found.control}'s", *extra))
    after = (f"{distances.overall(s.reestimated):.2f}" for s in found.settings)
    rows.append(("all, re-estimated", *after))
    explained = (
        "A distance is the root mean square over channels of the difference of means "
        "in standard deviations and of the log of the ratio of standard deviations. "
        f"{found.control}'s distance is due to the images: their size and what they "
        "show. What a setting adds to it is due to the setting."
    )
    return f"{table(rows)}\n\n{explained}"


def _overall(setting: SettingFindings) -> float:
    return distances.overall(setting.distances)


def _features(found: Explanation, table: Table) -> str:
    """Returns displacements by mode, and linear probes where there are labels."""
    modes = list(found.settings[0].displacements)
    probed = list(found.settings[0].accuracies)
    rows: list[Row] = [
        (
            "setting",
            *(MODES[mode] for mode in modes),
            *(f"linear probe, {MODES[mode]}" for mode in probed),
        )
    ]
    for setting in found.settings:
        cells = [f"{setting.displacements[mode]:.3f}" for mode in modes]
        for mode in probed:
            paired = setting.differences[mode]
            cell = f"{setting.accuracies[mode]:.1f}%"
            if setting.name != found.control:
                cell += f" ({paired.points:+.1f} ± {paired.error:.1f})"
            cells.append(cell)
        rows.append((setting.name, *cells))
    explained = f"Displacements are from {found.control}'s features."
    if probed:
        explained += (
            " The linear probe is ridge regression on the frozen features, judged on "
            "each image left out; in brackets, the difference from "
            f"{found.control} and its standard error."
        )
    return f"{table(rows)}\n\n{explained}"


def _parts(found: Explanation, table: Table) -> str:
    rows: list[Row] = [("part", *(MODES[mode] for mode in found.parts))]
    for name, title in (
        ("scale", "common scale"),
        ("ratio", "ratios of the channels' scales"),
        ("shift", "shift"),
        ("border", "border of the first convolution"),
        ("total", "total"),
    ):
        values = [getattr(parts, name) for parts in found.parts.values()]
        cells = ("-" if value is None else f"{value:.3f}" for value in values)
        rows.append((title, *cells))
    explained = (
        f"The steps from {found.control} to {found.treatment}, in this order; each is "
        "the displacement that it causes. Steps have directions, so their sizes don't "
        "add up to the total."
    )
    return f"{table(rows)}\n\n{explained}"
