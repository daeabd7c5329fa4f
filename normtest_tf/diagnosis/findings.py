"""The findings of a diagnosis: plain data, written as JSON, as text or as a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from normtest_tf.diagnosis import distances, rule
from normtest_tf.diagnosis.distances import BATCH, REESTIMATED, STORED, Distance
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
    REESTIMATED: "re-estimated",
    rule.NONE: "no batch norm",
}
LAYERS = "Stored statistics and the data's, at every batch normalization"
PARTS = {
    "scale": "common scale",
    "ratio": "ratios of the channels' scales",
    "shift": "shift",
    "border": "border of the first convolution",
    "total": "total",
}
EXPECTATIONS = (
    "way of training",
    "batch norm runs on",
    "displacement",
    "effect, points",
    "confidence",
    "take",
)
Row = tuple[str, ...]
Table = Callable[[Sequence[Row]], str]


@dataclasses.dataclass(frozen=True)
class SettingFindings:
    """What was measured under one setting."""

    name: str
    statistics: ChannelStatistics | None  # In RGB order; None without constants.
    input_mean: tuple[float, ...]  # Of the normalised images, in the network's order.
    input_std: tuple[float, ...]
    # Between the stored statistics and the data's, by layer, before and after they
    # were re-estimated on the data.
    distances: tuple[Distance, ...]
    reestimated: tuple[Distance, ...]
    # Of the last features from the control's, by mode: stored, batch, reestimated; a
    # network without batch normalization has stored only.
    displacements: dict[str, float]
    # Of a linear classifier of the features, leave-one-out, in percent, by mode:
    # stored, reestimated; and the same minus the control's. Empty without labels.
    accuracies: dict[str, float]
    differences: dict[str, Paired]


@dataclasses.dataclass(frozen=True)
class Explanation:
    """A diagnosis of one model and one data set."""

    model: str  # What it is called.
    data: str
    images: int  # How many were used.
    image_shape: tuple[int, int, int]
    layers: tuple[str, ...]  # Names of the batch normalizations, by depth.
    control: str  # The setting that others are compared with.
    treatment: str | None  # That parts and predictions are about; None without any.
    settings: tuple[SettingFindings, ...]
    parts: dict[str, Parts]  # By mode. Empty if the difference can't be split.
    predictions: tuple[Prediction, ...]  # By way of training.
    notes: tuple[str, ...]  # Sentences that the user should read.

    def setting(self, name: str) -> SettingFindings:
        """Returns what was measured under a setting; raises KeyError if none was."""
        return {found.name: found for found in self.settings}[name]

    def to_json(self) -> dict[str, Any]:
        """Returns the findings for `json.dumps`; what is not finite is None."""
        return msgspec.json.decode(msgspec.json.encode(self))

    def to_text(self) -> str:
        """Returns the findings as text for a terminal."""
        lines = [_title(self)]
        for title, body in _sections(self, text_table):
            lines += ["", title, "", body]
        return "\n".join(lines)

    def to_markdown(self, figure: str = "") -> str:
        """Returns the findings as a page; `figure` is the name of its PNG file."""
        lines = [f"# {_title(self)}"]
        for title, body in _sections(self, markdown_table):
            lines += ["", f"## {title}", "", body]
            if figure and title == LAYERS:
                lines += ["", f"![distances by depth]({figure})"]
        return "\n".join([*lines, ""])


def _title(found: Explanation) -> str:
    height, width, _ = found.image_shape
    number = counted(found.images, "image")
    return f"{found.model} on {found.data}: {number} of {width}x{height}"


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
    rows: list[Row] = [EXPECTATIONS]
    reasons = []
    for p in found.predictions:
        name, take = TRAININGS[p.training], p.take or "either"
        effect = rule.in_words(p)
        size = f"{p.displacement:.2f}"
        rows.append((name, MODES[p.mode], size, effect, p.confidence, take))
        reasons.append(f"- {name}: {p.reason}")
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
    overall = {s.name: distances.overall(s.distances) for s in found.settings}
    control = overall[found.control]
    rows.append(("all", *(f"{own:.2f}" for own in overall.values())))
    extra = (f"{own - control:+.2f}" for own in overall.values())
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


def _features(found: Explanation, table: Table) -> str:
    """Returns displacements by mode, and linear probes where there are labels."""
    modes = list(found.settings[0].displacements)
    probed = list(found.settings[0].accuracies)
    titles = [MODES[mode] for mode in modes]
    titles += [f"linear probe, {MODES[mode]}" for mode in probed]
    rows: list[Row] = [("setting", *titles)]
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
    for name, title in PARTS.items():
        values = [getattr(parts, name) for parts in found.parts.values()]
        cells = ("-" if value is None else f"{value:.3f}" for value in values)
        rows.append((title, *cells))
    explained = (
        f"The steps from {found.control} to {found.treatment}, in this order; each is "
        "the displacement that it causes. Steps have directions, so their sizes don't "
        "add up to the total."
    )
    return f"{table(rows)}\n\n{explained}"
