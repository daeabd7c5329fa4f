"""Sections of a report: Markdown made from results or rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from normtest_tf.analysis import Cell, Results, verdicts
from normtest_tf.analysis.comparisons import Comparison
from normtest_tf.normalization import SETTINGS
from normtest_tf.report.rows import Row
from normtest_tf.runs import RULES, Rule
from normtest_tf.runs.folder import UNRECORDED
from normtest_tf.runs.history import BEST_TEST, FINAL
from normtest_tf.text import counted, duration, markdown_table, signed, text_table


def answer(comparison: Comparison) -> str:
    """Summarises a comparison in a paragraph."""
    over = comparison.over_cells
    text = f"**{comparison}: {signed(over.mean)} points**"
    if over.n > 1:
        text += (
            f" on average over {over.n} cells (data set and model). The 95% interval "
            f"over cells is {signed(over.low)} to {signed(over.high)}"
        )
    return f"{text}. Verdicts by cell: {_verdict_counts(comparison)}."


def _verdict_counts(comparison: Comparison) -> str:
    """Returns how many cells have each kind of verdict."""
    count = Counter(j.verdict.kind for j in comparison.judgements.values())
    kinds = [
        *((verdicts.better(name),) * 2 for name in _names(comparison)),
        (
            verdicts.NO_DIFFERENCE,
            f"no difference larger than {comparison.margin:g} points",
        ),
        (verdicts.UNDECIDED, "undecided"),
        (verdicts.SINGLE_RUN, "a single pair of runs"),
    ]
    return ", ".join(f"{words} ({count[kind]})" for kind, words in kinds if count[kind])


def _names(comparison: Comparison) -> tuple[str, str]:
    return comparison.treatment, comparison.control


def verdict_table(comparison: Comparison) -> str:
    """Lists a comparison's cells with their verdicts."""
    rows = [("data set", "model", "pairs", "difference", "95% interval", "verdict")]
    for cell, judgement in comparison.judgements.items():
        effect = judgement.effect
        interval = ""
        if effect.n > 1:
            interval = f"{signed(effect.low)} to {signed(effect.high)}"
        rows.append(
            (
                cell.dataset,
                cell.model,
                str(effect.n),
                signed(effect.mean),
                interval,
                judgement.verdict.text + _noise(comparison, cell),
            )
        )
    return markdown_table(rows)


def _noise(comparison: Comparison, cell: Cell) -> str:
    """Returns what follows a verdict where the noise floor was measured."""
    floor = comparison.noise.get(cell)
    if floor is None:
        return ""
    return f"; {floor.in_words(comparison.judgements[cell].effect)}"


def table1(rows: Sequence[Row], rule: Rule) -> str:
    """Lays out accuracies as the PyTorch study does: settings down, models across.

    Entries begin with the accuracy by `rule`. The best setting of each data set and
    model is bold; below it are the best test epoch and the published accuracy, with our
    difference from it.
    """
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
    return markdown_table([["data set", "setting", *models], *body])


def _entry(row: Row | None, rule: Rule) -> str:
    """Returns one entry of table 1."""
    if row is None:
        return "not run"
    value = _mean(row, rule)
    if row["best"]:
        value = f"**{value}**"
    lines = [f"{value} (n = {row['n']})"]
    if row["published"] is not None:
        lines.append(
            f"best epoch {row['best_test_mean']:.2f}, published "
            f"{row['published']:.2f}: {signed(row['difference'])}"
        )
    return "<br>".join(lines)


def _mean(row: Row, rule: Rule) -> str:
    """Returns a mean and the half width of its interval, in percent."""
    if row[f"{rule.name}_mean"] is None:
        return "none"
    text = f"{row[f'{rule.name}_mean']:.2f}"
    if row[f"{rule.name}_high"] is not None:
        half_width = (row[f"{rule.name}_high"] - row[f"{rule.name}_low"]) / 2
        text += f" ± {half_width:.2f}"
    return text


def rules_table(rows: Sequence[Row]) -> str:
    """Compares the rules for choosing an epoch, setting by setting."""
    header = ("data set", "model", "setting", *(rule.title for rule in RULES.values()))
    body = [
        (
            row["dataset"],
            row["model"],
            row["normalization"],
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
        body.append(
            (
                row["dataset"],
                images,
                str(row["classes"]),
                row["size"],
                row["normalization"],
                row["models"],
                _channels(row, "mean"),
                _channels(row, "std"),
            )
        )
    return markdown_table([(*header, "mean", "std"), *body])


def _channels(row: Row, statistic: str) -> str:
    values = [row[f"{statistic}_{channel}"] for channel in ("red", "green", "blue")]
    if None in values:
        return "-"
    return ", ".join(f"{round(value, 3) + 0.0:.3f}" for value in values)


def settings_list(rows: Sequence[Row]) -> str:
    """Explains the settings of a data table."""
    names = dict.fromkeys(row["normalization"] for row in rows)
    return "\n".join(f"- `{name}`: {SETTINGS[name].formula}." for name in names)


def published_table(rows: Sequence[Row]) -> str:
    """Lists the published differences with their test-set error."""
    header = ("published in", "data set", "model", "published difference", "ours")
    body = []
    for row in rows:
        ours = "not run"
        if row["ours_n"]:
            ours = signed(row["ours"])
        if row["ours_half_width"] is not None:
            ours += f" ± {row['ours_half_width']:.2f} (n = {row['ours_n']})"
        theirs = row["in_words"] or f"{signed(row['difference'])} (n = {row['n']})"
        body.append((row["published_in"], row["dataset"], row["model"], theirs, ours))
    return markdown_table([header, *body])


def neighbours_table(rows: Sequence[Row]) -> str:
    """Lists our accuracies beside those of published networks of the same family."""
    header = (
        *("data set", "setting", "ours", "published", "best test epoch", "difference"),
        *("final epoch", "difference"),
    )
    body = [
        (
            row["dataset"],
            row["normalization"],
            f"{row['model']} (n = {row['n']})",
            row["neighbour"],
            *_beside(row, BEST_TEST),
            *_beside(row, FINAL),
        )
        for row in rows
    ]
    return markdown_table([header, *body])


def _beside(row: Row, rule: Rule) -> tuple[str, str]:
    """Returns our accuracy and the published one, and the difference in points."""
    ours, theirs = row[f"{rule.name}_ours"], row[f"{rule.name}_published"]
    if theirs is None:
        return f"{ours:.2f}, not published", "-"
    probably = "probably " if rule is FINAL else ""
    return f"{ours:.2f}, {probably}{theirs:.2f}", signed(ours - theirs)


def missing(results: Results) -> str:
    """Lists the runs that would complete the grid."""
    if not results.missing:
        return f"All {len(results.runs)} runs of the grid are finished."
    rows = [("run", "state")]
    rows += [
        (name, f"`{why.replace('`', chr(39))}`")
        for name, why in results.missing.items()
    ]
    total = len(results.runs) + len(results.missing)
    return (
        f"**Missing: {len(results.missing)} of {total} runs.** The tables cover the "
        f"finished ones.\n\n{markdown_table(rows)}"
    )


def how(results: Results) -> str:
    """Describes recipe, weights, time, hardware and versions."""
    seconds = sum(run.result.total_seconds for run in results.runs)
    lines = [
        f"- {counted(len(results.runs), 'run')}, {duration(seconds)} in total.",
        *(f"- {line}" for line in _recipes(results)),
        *(f"- {line}" for line in _environments(results)),
    ]
    return "\n".join(lines)


def _recipes(results: Results) -> list[str]:
    """Returns a line for each distinct recipe, with the models it applies to."""
    groups: dict[str, list[str]] = {}
    for run in results.runs:
        requested, resolved = run.config.requested, run.config.resolved
        recipe = (
            f"{requested['epochs']} epochs on {resolved.train_examples:,} images, "
            f"batches of {requested['batch_size']}, learning rate "
            f"{requested['learning_rate']:g}, {resolved.precision}"
            + "".join(f", {what}" for what in _unlike_the_study(requested))
        )
        name = f"{run.name.model} with the weights `{resolved.weights}`"
        members = groups.setdefault(recipe, [])
        if name not in members:
            members.append(name)
    return [f"{recipe}: {', '.join(names)}." for recipe, names in groups.items()]


def _unlike_the_study(requested: Mapping[str, Any]) -> list[str]:
    """Says in what a run departs from the PyTorch study, apart from its numbers."""
    warmup = requested["warmup_epochs"]
    phrases = [
        f"{counted(warmup, 'epoch')} of warm-up" if warmup else "",
        _unless_always("optimizer", requested),
        _unless_always("train", requested),
        "--recalibrate" if requested["recalibrate"] else "",
        _unless_always("shift", requested),
    ]
    if requested["examples_per_class"]:
        phrases.append(f"{requested['examples_per_class']} of each class")
    return [phrase for phrase in phrases if phrase]


def _unless_always(name: str, requested: Mapping[str, Any]) -> str:
    """Returns a flag as it was given, or nothing if it is what all runs once did."""
    value = requested[name]
    return "" if value == UNRECORDED[name] else f"--{name}={value}"


def _environments(results: Results) -> list[str]:
    """Returns a line for each distinct machine and set of versions."""
    found = Counter(_environment(run.config.environment) for run in results.runs)
    return [f"{counted(count, 'run')} on {text}." for text, count in found.items()]


def _environment(record: Mapping[str, Any]) -> str:
    device = ", ".join(record["gpus"]) or "no GPU"
    return (
        f"{record['cpu']}, {record['cpu_cores']} cores, {device}; Python "
        f"{record['python']}, Keras {record['keras']} on {record['backend']}, "
        f"TensorFlow {record['tensorflow']}, normtest_tf {record['normtest_tf']}"
    )


def pair_table(results: Results, comparison: Comparison, cell: Cell) -> str:
    """Returns a table of a cell's pairs of runs: a line per seed, for a terminal."""
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
    """Summarises a cell's pairs in two lines: mean and interval, then verdict."""
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
