"""Tables of a benchmark, for terminals and for the documentation."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.support.speed.limits import Limits
from experiments.support.speed.work import Measurement
from normtest_tf import errors, text

# The beginning of our sides' names. The rest is the precision, and perhaps a backend.
OURS = "ours, "
ON = " on "
_RATIOS = {
    "training": "training",
    "evaluation": "evaluation",
    "pipeline": "pipeline",
    "peak_memory": "memory",
}
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured of one network.

    Attributes:
        model: The network's name.
        images: The number of images in an epoch.
        batch_size: Images in a batch.
        measurements: By side, one per round.
        tried: Images/s of each way that the tuned side chose from.
        limits: What a training can't exceed.
        environment: Machine and versions, by name.
    """

    model: str
    images: int
    batch_size: int
    measurements: dict[str, list[Measurement]]
    tried: dict[str, float]
    limits: Limits
    environment: dict[str, str]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Result:
        """Reads what `dataclasses.asdict` has made."""
        measurements = {
            side: [Measurement(**one) for one in all_of_it]
            for side, all_of_it in values["measurements"].items()
        }
        limits = Limits(**values["limits"])
        return cls(**{**values, "measurements": measurements, "limits": limits})

    def median(self, side: str, quantity: str) -> float | None:
        """Returns the median over rounds; None if some are unknown."""
        values = [getattr(one, quantity) for one in self.measurements[side]]
        return None if None in values else statistics.median(values)

    def ratio(self, side: str, other: str, quantity: str) -> float | None:
        """Returns a side's median divided by another's."""
        mine, theirs = self.median(side, quantity), self.median(other, quantity)
        return None if mine is None or theirs is None else mine / theirs

    def shares(self) -> dict[str, float]:
        """Returns, by side of ours, the share of the machine's rate that it reaches."""
        found = {}
        for side in filter(lambda name: name.startswith(OURS), self.measurements):
            dtype = _precision(side).removeprefix("mixed_")
            if dtype in self.limits.gflops:
                needed = self.median(side, "training") * self.limits.training_gflop
                found[side] = needed / self.limits.gflops[dtype]
        return found


def terminal(result: Result) -> str:
    """Returns tables of one network's medians, ratios and limits."""
    rows = [["", "training", "evaluation", "pipeline", "first step", "peak memory"]]
    for side in result.measurements:
        rates = [_spread(result, side, q) for q in ("training", "evaluation")]
        pipeline = f"{result.median(side, 'pipeline'):,.0f}"
        first = f"{result.median(side, 'first_step'):.1f} s"
        rows.append([side, *rates, pipeline, first, _memory(result, side)])
    lines = [f"{result.model}, images/s", text.text_table(rows)]
    for mine, theirs in _pairs(result):
        found = ", ".join(
            f"{name} {ratio:.2f}"
            for quantity, name in _RATIOS.items()
            if (ratio := result.ratio(mine, theirs, quantity)) is not None
        )
        lines.append(f"{mine} / {theirs}: {found}")
    lines += [
        f"{side}: {share:.0%} of the rate of a large matrix product here"
        for side, share in result.shares().items()
    ]
    return "\n".join(lines)


def markdown(results: Sequence[Result]) -> str:
    """Returns the section of the documentation about several networks."""
    sections = [_introduction(results)]
    for title, quantity in (("Training", "training"), ("Evaluation", "evaluation")):
        sections.append(f"{title}, images/s, medians (least to most):")
        sections.append(_table(results, lambda r, s, q=quantity: _spread(r, s, q)))
    sections.append("The training pipeline alone, images/s, medians:")
    sections.append(_table(results, lambda r, s: f"{r.median(s, 'pipeline'):,.0f}"))
    sections.append(
        "From the start of the process to the end of its first training step, medians:"
    )
    sections.append(_table(results, lambda r, s: f"{r.median(s, 'first_step'):.1f} s"))
    sections.append("Peak memory of the training, medians:")
    sections.append(_table(results, _memory))
    sections.append("Ratios of the medians, ours divided by the other's:")
    sections.append(_ratios(results))
    sections.append(_limits(results))
    return "\n\n".join(sections)


def replace_section(page: str, section: str, name: str) -> str:
    """Puts a section between the marks of a page.

    Args:
        page: The page's text.
        section: What to put there.
        name: The page's name, for the error.

    Raises:
        UsageError: If the page has no marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise errors.UsageError(f"{name} has no section between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{section}\n\n{END}{after}"


def _introduction(results: Sequence[Result]) -> str:
    """Says where and how the results were measured."""
    environments = {tuple(result.environment.items()) for result in results}
    machines = "; ".join(
        ", ".join(f"{name} {value}".strip() for name, value in environment)
        for environment in sorted(environments)
    )
    numbers = sorted({len(v) for r in results for v in r.measurements.values()})
    n = " or ".join(map(str, numbers))
    images = " or ".join(f"{n:,}" for n in sorted({r.images for r in results}))
    sizes = " or ".join(str(n) for n in sorted({r.batch_size for r in results}))
    return (
        f"Generated by `python -m experiments.benchmark`. {images} images in an epoch, "
        f"batch {sizes}, n = {n} rounds. Machine and versions: {machines}."
    )


def _table(results: Sequence[Result], cell: Callable[[Result, str], str]) -> str:
    """Returns a table with a row per network and a column per side."""
    sides = list(dict.fromkeys(s for result in results for s in result.measurements))
    rows = [["network", *sides]]
    for result in results:
        cells = [cell(result, s) if s in result.measurements else "" for s in sides]
        rows.append([f"`{result.model}`", *cells])
    return text.markdown_table(rows)


def _ratios(results: Sequence[Result]) -> str:
    rows = [["network", "ours", "other", *_RATIOS.values()]]
    for result in results:
        for mine, theirs in _pairs(result):
            ratios = [result.ratio(mine, theirs, quantity) for quantity in _RATIOS]
            names = mine.removeprefix(OURS), theirs.removeprefix("PyTorch, ")
            cells = ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
            rows.append([f"`{result.model}`", *names, *cells])
    return text.markdown_table(rows)


def _limits(results: Sequence[Result]) -> str:
    """Describes what the tuned side chose, and how near the limits are."""
    rows = [
        [
            "network",
            "GFLOP an image, trained",
            "with taps on padding",
            "GFLOP/s of a matrix product",
            "share reached",
            "tried for the tuned side, images/s",
        ]
    ]
    for result in results:
        limits = result.limits
        rates = ", ".join(f"{v:,.0f} ({k})" for k, v in limits.gflops.items())
        shares = ", ".join(
            f"{share:.0%} ({side.removeprefix(OURS)})"
            for side, share in result.shares().items()
        )
        tried = "; ".join(f"{name}: {rate:,.0f}" for name, rate in result.tried.items())
        rows.append(
            [
                f"`{result.model}`",
                f"{limits.training_gflop:.3f}",
                f"{limits.training_gflop_with_padding:.3f}",
                rates,
                shares,
                tried,
            ]
        )
    return text.markdown_table(rows)


def _pairs(result: Result) -> list[tuple[str, str]]:
    """Returns each side of ours with each of PyTorch's, and with TensorFlow's."""
    mine = [side for side in result.measurements if side.startswith(OURS)]
    theirs = [side for side in result.measurements if not side.startswith(OURS)]
    pairs = [(one, other) for one in mine for other in theirs]
    default = {side: OURS + _precision(side) for side in mine if ON in side}
    return pairs + [(one, other) for one, other in default.items() if other in mine]


def _precision(side: str) -> str:
    """Returns the precision in the name of a side of ours."""
    return side.removeprefix(OURS).partition(ON)[0]


def _spread(result: Result, side: str, quantity: str) -> str:
    values = [getattr(one, quantity) for one in result.measurements[side]]
    middle = statistics.median(values)
    return f"{middle:,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def _memory(result: Result, side: str) -> str:
    peak = result.median(side, "peak_memory")
    return "unknown" if peak is None else f"{peak:,.0f} MiB"
