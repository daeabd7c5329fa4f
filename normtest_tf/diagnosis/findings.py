"""The findings of a diagnosis: plain data, written as JSON, as text or as a page."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from normtest_tf.diagnosis import distances
from normtest_tf.diagnosis.advice import HEAD_RECALIBRATED, SURE, Advice
from normtest_tf.diagnosis.distances import BATCH, REESTIMATED, STORED
from normtest_tf.diagnosis.linear_probe import Paired
from normtest_tf.diagnosis.parts import Parts
from normtest_tf.normalization import CONTROL, TREATMENT, ChannelStatistics
from normtest_tf.text import counted, markdown_table, text_table
from normtest_tf.training import choices

MAX_ROWS = 10  # Layers shown; JSON and figure have all.
WIDTH = 88  # Of text for a terminal.
FIGURE = "distances"
TRAININGS = {
    choices.HEAD: "head (frozen backbone)",
    HEAD_RECALIBRATED: "head, statistics re-estimated",
}
_EXPLAINED = (
    f"Take: {TREATMENT} if the linear probe favours it by more than {SURE:g} standard "
    f"errors, else {CONTROL}. Linear probe: accuracy of a linear classifier of the "
    f"frozen features on images left out, {TREATMENT} minus {CONTROL}, ± its standard "
    "error."
)
_NOT_PROBED = (
    "Advice on a frozen backbone needs labels, and weights that are not random."
)
_DISTANCE = (
    "Pixel distance, of the images' channel means and standard deviations from those "
    "of pre-training:"
)
_NO_RULE = (
    "It does not say which setting is better. Where weights move, nothing measured "
    "before training does: take either, or try both."
)
MODES = {STORED: "stored", BATCH: "batch", REESTIMATED: "re-estimated"}
LAYERS = "Stored statistics and the data's, at every batch normalization"
PARTS = {
    "scale": "- common scale",
    "ratio": "- channels' ratios",
    "shift": "- shift",
    "border": "- border",
}
Row = tuple[str, ...]
Section = tuple[str, Sequence[Row], Sequence[str]]  # Title, table, paragraphs.


@dataclasses.dataclass(frozen=True)
class SettingFindings:
    """What was measured under one setting."""

    name: str
    statistics: ChannelStatistics | None  # In RGB order; None without constants.
    input_mean: tuple[float, ...]  # Of the normalised images, in the network's order.
    input_std: tuple[float, ...]
    # Between the stored statistics and the data's, by layer, before and after they
    # were re-estimated on the data.
    distances: tuple[float, ...]
    reestimated: tuple[float, ...]
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
    settings: tuple[SettingFindings, ...]
    parts: dict[str, Parts]  # By mode, of finetune's displacement from pretrain.
    pixel_distance: float  # See `normalization.statistics`.
    advice: tuple[Advice, ...]  # By way of training; empty for random weights.
    notes: tuple[str, ...]  # Sentences that the user should read.

    def setting(self, name: str) -> SettingFindings:
        """Returns what was measured under a setting; raises KeyError if none was."""
        return {found.name: found for found in self.settings}[name]

    def to_json(self) -> dict[str, Any]:
        """Returns the findings for `json.dumps`; what is not finite is None."""
        return msgspec.json.decode(msgspec.json.encode(self))

    def to_text(self, width: int = WIDTH) -> str:
        """Returns the findings, without the parts, as text for a terminal."""
        lines = [_title(self)]
        for title, table, explained in _sections(self):
            whole = [row for row in table if row[0] not in PARTS.values()]
            lines += ["", title]
            lines += [text_table(whole)] if whole else []
            lines += [textwrap.fill(line, width) for line in explained]
        return "\n".join(lines)

    def to_markdown(self, figure: str = "") -> str:
        """Returns the findings as a page; `figure` is the name of its PNG file."""
        sections = list(_sections(self))
        if self.layers:
            sections.insert(-1 if self.notes else len(sections), _layers(self))
        lines = [f"# {_title(self)}"]
        for title, table, explained in sections:
            lines += ["", f"## {title}", ""]
            lines += [markdown_table(table), ""] if table else []
            lines += ["\n\n".join(explained)] if explained else []
            if figure and title == LAYERS:
                lines += ["", f"![distances by depth]({figure})"]
        return "\n".join([*lines, ""])


def _title(found: Explanation) -> str:
    height, width, _ = found.image_shape
    number = counted(found.images, "image")
    return f"{found.model} on {found.data}: {number} of {width}x{height}"


def _sections(found: Explanation) -> Iterator[Section]:
    """Yields sections, the answer first."""
    yield _advice(found)
    yield "The images after normalization", list(_statistics_rows(found)), []
    yield _features(found)
    if found.notes:
        yield "Notes", [], [f"- {note}" for note in found.notes]


def _advice(found: Explanation) -> Section:
    rows: list[Row] = []
    if found.advice:
        rows.append(("way of training", "linear probe", "take"))
    for advice in found.advice:
        points = f"{advice.points:+.1f} ± {advice.error:.1f} points"
        rows.append((TRAININGS[advice.training], points, advice.take))
    explained = _EXPLAINED if rows else _NOT_PROBED
    distance = f"{_DISTANCE} {found.pixel_distance:.2f}. {_NO_RULE}"
    return f"{TREATMENT} or {CONTROL}?", rows, [explained, distance]


def _statistics_rows(found: Explanation) -> Iterator[Row]:
    yield ("setting", "its mean", "its std", "mean after", "std after")
    for setting in found.settings:
        mean = std = "of each image"
        if setting.statistics is not None:
            mean = _numbers(setting.statistics.mean, 3)
            std = _numbers(setting.statistics.std, 3)
        normalised = (_numbers(setting.input_mean, 2), _numbers(setting.input_std, 2))
        yield (setting.name, mean, std, *normalised)


def _numbers(values: Sequence[float], digits: int) -> str:
    return " ".join(f"{round(value, digits) + 0.0:.{digits}f}" for value in values)


def _features(found: Explanation) -> Section:
    """Returns displacements by mode, with their parts, and linear probes."""
    modes, probed = (
        list(values)
        for values in (found.settings[0].displacements, found.settings[0].accuracies)
    )
    titles = [MODES[mode] for mode in modes]
    rows: list[Row] = [("", *titles, *(f"probe, {MODES[mode]}" for mode in probed))]
    for setting in found.settings:
        cells = [f"{setting.displacements[mode]:.3f}" for mode in modes]
        for mode in probed:
            paired = setting.differences[mode]
            cell = f"{setting.accuracies[mode]:.1f}%"
            if setting.name != CONTROL:
                cell += f", {paired.points:+.1f} ± {paired.error:.1f}"
            cells.append(cell)
        rows.append((setting.name, *cells))
        if setting.name == TREATMENT:
            for name, title in PARTS.items():
                values = [getattr(found.parts.get(mode), name, None) for mode in modes]
                cells = ["" if value is None else f"{value:.3f}" for value in values]
                rows.append((title, *cells, *[""] * len(probed)))
    title = f"How far the last features move from {CONTROL}'s, of their spread"
    explained = (
        "Columns: whose statistics batch normalization uses, those stored in the "
        "network, the batch's, or these images'. Probe: of these features."
    )
    steps = f"Rows below {TREATMENT}, on the page: its parts, steps that don't add up."
    return title, rows, [f"{explained} {steps}"]


def _layers(found: Explanation) -> Section:
    """Returns the table of distances by depth, and what of them is the size's."""
    count = len(found.layers)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MAX_ROWS)).round())
    rows: list[Row] = [("layer", *(setting.name for setting in found.settings))]
    for place in chosen.astype(int).tolist():
        cells = (f"{s.distances[place]:.2f}" for s in found.settings)
        rows.append((f"{place + 1} {found.layers[place]}", *cells))
    overall = {s.name: distances.rms(s.distances) for s in found.settings}
    rows.append(("all", *(f"{own:.2f}" for own in overall.values())))
    extra = (f"{own - overall[CONTROL]:+.2f}" for own in overall.values())
    rows.append((f"all, less {CONTROL}'s", *extra))
    after = (f"{distances.rms(s.reestimated):.2f}" for s in found.settings)
    rows.append(("all, re-estimated", *after))
    explained = (
        "A distance is the root mean square over channels of the difference of means "
        "in standard deviations and of the log of the ratio of standard deviations. "
        f"{CONTROL}'s distance is due to the images: their size and what they "
        "show. What a setting adds to it is due to the setting."
    )
    return LAYERS, rows, [explained]
