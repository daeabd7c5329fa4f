"""Sections of a report: Markdown made from results or rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

from normtest_tf.analysis import Cell, Results, verdicts
from normtest_tf.analysis.comparisons import ByImage, Comparison
from normtest_tf.analysis.effects import Estimate, estimate_mean
from normtest_tf.analysis.published import PublishedTable
from normtest_tf.normalization import CONTROL, GIVEN, SETTINGS, TREATMENT
from normtest_tf.report.rows import CHANNELS, Row, neighbours
from normtest_tf.runs import RULES, ConfigRecord, Rule
from normtest_tf.runs.folder import BEST_TEST, FINAL, UNRECORDED
from normtest_tf.text import counted, duration, markdown_table, signed, text_table

_PACKAGES = "keras tensorflow jax torch numpy scikit-learn tensorflow-datasets"


def answer(comparison: Comparison) -> str:
    """Summarises a comparison in a paragraph."""
    over = comparison.over_cells
    text = f"**{comparison}: {signed(over.mean)} points**"
    if over.n == 1:
        (judgement,) = comparison.judgements.values()
        if judgement.effect.has_interval:
            text += f", {_interval(judgement.effect)} (95%, {judgement.effect.n} pairs)"
        return f"{text}. Verdict: {judgement.verdict.text}.{_unlike(comparison)}"
    text += f" on average over these {over.n} cells (data set and model)"
    if over.has_interval:
        text += f", {_interval(over)} by their spread (95%)"
    count = Counter(j.verdict.kind for j in comparison.judgements.values())
    settings, margin = (comparison.treatment, comparison.control), comparison.margin
    kinds = {verdicts.better(name): verdicts.better(name) for name in settings} | {
        verdicts.NO_DIFFERENCE: f"no difference larger than {margin:g} points",
        verdicts.UNDECIDED: "undecided",
        verdicts.SINGLE_RUN: "a single pair of runs",
    }
    counts = (f"{kinds[kind]} ({count[kind]})" for kind in kinds if count[kind])
    counted_kinds = ", ".join(counts)
    return f"{text}. Verdicts by cell: {counted_kinds}.{_unlike(comparison)}"


def _unlike(comparison: Comparison) -> str:
    """Warns of pairs whose runs differ in versions or hardware."""
    if not comparison.unlike:
        return ""
    pairs = sum(len(seeds) for seeds in comparison.seed_differences.values())
    number = sum(number for number, _ in comparison.unlike.values())
    names = dict.fromkeys(n for _, names in comparison.unlike.values() for n in names)
    return (
        f" Note: the two runs of {number} of {counted(pairs, 'pair')} differ in "
        f"{', '.join(names)}, which may be what the difference is due to."
    )


def recipes(results: Results) -> dict[Cell, str]:
    """Returns each cell's epochs, training images and learning rate."""
    configs = {cell: results.runs_of(cell)[0].config for cell in results.cells}
    return {
        cell: f"{counted(config.requested['epochs'], 'epoch')}, "
        f"{config.resolved.train_examples:,} images, learning rate "
        f"{config.requested['learning_rate']:g}"
        for cell, config in configs.items()
    }


def verdict_table(
    comparison: Comparison, recipe_of: Mapping[Cell, str] | None = None
) -> str:
    """Lists a comparison's cells with their verdicts, and recipes if they differ."""
    header = ["data set", "model", "pairs", "difference", "95% interval", "verdict"]
    rows: list[Sequence[str]] = [header]
    if recipe_of:
        header.insert(2, "recipe")
    if comparison.by_image:
        header.insert(-1, "over images and seeds")
    for cell, judgement in comparison.judgements.items():
        effect = judgement.effect
        numbers = str(effect.n), signed(effect.mean), _interval(effect)
        text = judgement.verdict.text
        if chaos := comparison.chaos(cell):
            within = "no wider than" if abs(effect.mean) <= chaos else "beyond"
            n = comparison.noise[cell].n
            text += f"; {within} what chaos alone does, ±{chaos:.2f} (n = {n})"
        if found := comparison.unlike.get(cell):
            text += f"; {found[0]} of {effect.n} pairs differ in {', '.join(found[1])}"
        line = [*cell, *numbers, text]
        if recipe_of:
            line.insert(2, recipe_of[cell])
        if comparison.by_image:
            line.insert(-1, _by_image(comparison.by_image.get(cell)))
        rows.append(line)
    return markdown_table(rows)


def _by_image(found: ByImage | None) -> str:
    """Returns the interval over images and seeds, and McNemar's p-value of a pair."""
    if found is None:
        return ""
    p_value = found.mcnemar_p
    return _interval(found.effect) + (
        "" if math.isnan(p_value) else f"; McNemar's p = {p_value:.3f}"
    )


def _interval(effect: Estimate) -> str:
    """Returns the ends of an interval; nothing where there is none."""
    return f"{signed(effect.low)} to {signed(effect.high)}" * effect.has_interval


def effect_lines(comparisons: Sequence[Comparison]) -> list[Sequence[str]]:
    """Returns a table of all comparisons' cells, short enough for a paper."""
    return [
        ("comparison", "data set", "model", "difference", "verdict"),
        *(
            (str(each), *cell, _estimate(found.effect), found.verdict.kind)
            for each in comparisons
            for cell, found in each.judgements.items()
        ),
    ]


def table1(rows: Sequence[Row], rule: Rule) -> list[list[str]]:
    """Lays out accuracies as the PyTorch study does: settings down, models across."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    found = {(r["dataset"], r["normalization"], r["model"]): r for r in rows}
    body = [
        [
            dataset,
            setting,
            *(_entry(found.get((dataset, setting, model)), rule) for model in models),
        ]
        for dataset, setting in dict.fromkeys(key[:2] for key in found)
    ]
    return [["data set", "setting", *models], *body]


def _entry(row: Row | None, rule: Rule) -> str:
    """Returns one entry of table 1, bold if its lead exceeds the test set's error."""
    if row is None:
        return "not run"
    value, error = _mean(row, rule), row["test_set_error"]
    if row["lead"] is not None and row["lead"] > error:
        value = f"**{value}**"
    return f"{value} (n = {row['n']}, test set ±{error:.2f})"


def _mean(row: Row, rule: Rule) -> str:
    """Returns a mean and the half width of its interval, in percent."""
    mean, low, high = (row[f"{rule.name}_{name}"] for name in ("mean", "low", "high"))
    if math.isnan(mean):
        return "none"
    return f"{mean:.2f}" + ("" if math.isnan(high) else f" ± {(high - low) / 2:.2f}")


def _cells(row: Row, *columns: str) -> tuple[str, ...]:
    return tuple(str(row[column]) for column in columns)


def rules_table(rows: Sequence[Row]) -> str:
    """Compares the rules for choosing an epoch, setting by setting."""
    header = ("data set", "model", "setting", *(rule.title for rule in RULES.values()))
    body = [
        (
            *_cells(row, "dataset", "model", "normalization"),
            *(_mean(row, rule) for rule in RULES.values()),
        )
        for row in rows
    ]
    return markdown_table([header, *body])


def data_table(rows: Sequence[Row]) -> str:
    """Lists the data sets with their channel statistics after normalization."""
    header = ("data set", "images", "classes", "size", "setting", "models")
    body = []
    for row in rows:
        images = f"{row['train_examples']:,} train, {row['test_examples']:,} test"
        if row["validation_examples"]:
            images += f", {row['validation_examples']:,} validation"
        rest = _cells(row, "classes", "size", "normalization", "models")
        channels = (_channels(row, statistic) for statistic in ("mean", "std"))
        body.append((row["dataset"], images, *rest, *channels))
    return markdown_table([(*header, "mean", "std"), *body])


def _channels(row: Row, statistic: str) -> str:
    values = [row[f"{statistic}_{channel}"] for channel in CHANNELS]
    if any(map(math.isnan, values)):
        return "-"
    return ", ".join(f"{round(value, 3) + 0.0:.3f}" for value in values)


def settings_list(rows: Sequence[Row], results: Results) -> str:
    """Explains the settings of a data table, with constants that were given."""
    names = dict.fromkeys(row["normalization"] for row in rows)
    lines = [f"- `{name}`: {SETTINGS[name].formula}." for name in names]
    given = [run for run in results.runs if run.setting.name == GIVEN]
    for cell, requested in {run.cell: run.config.requested for run in given}.items():
        mean, std = (
            ", ".join(f"{x:g}" for x in requested[key]) for key in ("mean", "std")
        )
        what = f"on {cell.dataset} with {cell.model}: mean {mean}; std {std}."
        lines.append(f"- `{GIVEN}` {what}")
    return "\n".join(lines)


def neighbours_table(results: Results, table: PublishedTable) -> str:
    """Lists our accuracies beside a table's; empty without any."""
    header = ("data set", "setting", "ours", "theirs", "best test epoch", "difference")
    has_final = bool(table.final)
    rows: list[Sequence[str]] = []
    for ours, theirs in neighbours(results, table):
        found = table.accuracies[theirs]
        names = (
            f"{ours.model} (n = {len(results.runs_of(ours.cell, ours.normalization))})",
            f"{theirs.model} (n = {len(found)})",
        )
        line = [ours.dataset, ours.normalization, *names]
        finals = [(FINAL, table.final.get(theirs), "probably ")] * has_final
        for rule, values, how in [(BEST_TEST, found, ""), *finals]:
            own = results.accuracies(ours.cell, ours.normalization, rule)
            mean = 100 * fmean(own.values())
            other = 100 * fmean(values.values()) if values else math.nan
            known = f"{how}{other:.2f}" if values else "not published"
            line += [f"{mean:.2f}, {known}", signed(mean - other) if values else "-"]
        rows.append(line)
    if not rows:
        return ""
    return markdown_table([header + ("final epoch", "difference") * has_final, *rows])


def differences_table(results: Results, table: PublishedTable) -> str:
    """Lists the planned difference of a table's pairs beside ours; empty for none."""
    rows: list[Sequence[str]] = [("data set", "model", "ours", "theirs")]
    ours = {condition.cell for condition, _ in neighbours(results, table)}
    for cell, theirs in table.differences().items():
        own = results.paired_differences(cell, TREATMENT, CONTROL, BEST_TEST)
        if cell in ours and own:
            both = map(estimate_mean, (list(own.values()), theirs))
            rows.append((*cell, *map(_estimate, both)))
    return markdown_table(rows) if len(rows) > 1 else ""


def _estimate(effect: Estimate) -> str:
    """Returns a mean difference with the half width of its interval, and n."""
    half_width = f" ± {effect.half_width:.2f}" * effect.has_interval
    return f"{signed(effect.mean)}{half_width} (n = {effect.n})"


def policy_table(rows: Sequence[Row]) -> str:
    """Lists what policies lost by kind of cells: the mean, and the worst cell."""
    names = list(dict.fromkeys(row["policy"] for row in rows))
    body: dict[str, dict[str, str]] = {}
    for row in rows:
        lost = f"{row['mean_lost']:.2f} ({row['worst_lost']:.2f})"
        body.setdefault(f"{row['cells']} ({row['n']})", {})[row["policy"]] = lost
    lines = [[kind, *(lost.get(x, "") for x in names)] for kind, lost in body.items()]
    return markdown_table([["cells", *names], *lines])


def missing(results: Results) -> str:
    """Lists the runs that would complete the grid."""
    if not results.missing:
        return f"All {len(results.runs)} runs of the grid are finished."
    rows = [("run", "state")]
    for name, why in results.missing.items():
        rows.append((name, f"`{why.replace('`', chr(39))}`"))
    total = len(results.runs) + len(results.missing)
    return (
        f"**Missing: {len(results.missing)} of {total} runs.** The tables cover the "
        f"finished ones.\n\n{markdown_table(rows)}"
    )


def how(results: Results) -> str:
    """Describes recipe, weights, time, hardware and versions."""
    seconds = sum(run.result.total_seconds for run in results.runs)
    lines = [
        f"{counted(len(results.runs), 'run')}, {duration(seconds)} in total.",
        *_recipes(results),
        *_environments(results),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _recipes(results: Results) -> list[str]:
    """Returns a line for each distinct recipe, with the models it applies to."""
    groups: dict[str, dict[str, None]] = {}  # Names without repetition.
    for run in results.runs:
        requested, resolved = run.config.requested, run.config.resolved
        recipe = (
            f"{counted(requested['epochs'], 'epoch')} on "
            f"{resolved.train_examples:,} images, "
            f"batches of {requested['batch_size']}, learning rate "
            f"{requested['learning_rate']:g}, {resolved.precision}"
            + "".join(f", {what}" for what in _unlike_the_study(run.config))
        )
        name = f"{run.name.model} with the weights `{resolved.weights}`"
        groups.setdefault(recipe, {})[name] = None
    return [f"{recipe}: {', '.join(names)}." for recipe, names in groups.items()]


def _unlike_the_study(config: ConfigRecord) -> list[str]:
    """Says in what a run departs from the PyTorch study, apart from its numbers."""
    requested = config.requested
    flags = {
        name: requested[name] != UNRECORDED[name] and f"--{name}={requested[name]}"
        for name in ("optimizer", "train", "shift", "subset")
    }
    warmup, few = requested["warmup_epochs"], requested["examples_per_class"]
    phrases = (
        warmup and f"{counted(warmup, 'epoch')} of warm-up",
        flags["optimizer"],
        flags["train"],
        requested["recalibrate"] and "--recalibrate",
        flags["shift"],
        few and f"{few} of each class",
        flags["subset"],
    )
    return [phrase for phrase in phrases if phrase]


def _environments(results: Results) -> list[str]:
    """Returns a line for each distinct machine and set of versions."""
    records = [run.config.environment for run in results.runs]
    found = Counter(
        f"{record['cpu']}, {record['cpu_cores']} cores, "
        f"{', '.join(record['gpus']) or 'no GPU'}; Python {record['python']}, "
        f"Keras {record['keras']} on {record['backend']}, TensorFlow "
        f"{record['tensorflow']}, normtest_tf {record['normtest_tf']}"
        for record in records
    )
    return [f"{counted(count, 'run')} on {text}." for text, count in found.items()]


def constraints(results: Results) -> str:
    """Returns the versions that most runs had, as pip takes them with `-c`."""
    records = [run.config.environment for run in results.runs]
    ((versions, _),) = Counter(
        tuple((name, record[name]) for name in _PACKAGES.split() if name in record)
        for record in records
    ).most_common(1)
    return "".join(f"{name}=={value.split('+')[0]}\n" for name, value in versions)


def pair_table(results: Results, comparison: Comparison, cell: Cell) -> str:
    """Returns a table of a cell's pairs of runs: a line per seed, for a terminal."""
    control, treatment = (
        results.accuracies(cell, setting, comparison.rule)
        for setting in (comparison.control, comparison.treatment)
    )
    rows = [("seed", comparison.control, comparison.treatment, str(comparison))]
    for seed, points in comparison.seed_differences[cell].items():
        accuracies = f"{control[seed]:.2%}", f"{treatment[seed]:.2%}"
        rows.append((str(seed), *accuracies, f"{signed(points)} points"))
    return text_table(rows)
