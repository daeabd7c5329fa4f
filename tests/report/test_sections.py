import re

from normtest_tf.analysis import comparisons, results
from normtest_tf.normalization import SETTINGS
from normtest_tf.report import sections
from normtest_tf.runs.history import FINAL
from tests.helpers.fake_results import write_run


def test_the_answer_counts_verdicts(gathered):
    answer = sections.answer(gathered.comparisons[0])
    assert answer.startswith("**finetune - pretrain: +0.95 points** ")
    assert "on average over 3 cells" in answer
    assert answer.endswith("Verdicts by cell: finetune better (3).")


def test_the_answer_for_a_single_pair_has_no_interval(tmp_path):
    write_run(tmp_path, normalization="finetune")
    write_run(tmp_path, normalization="pretrain")
    comparison = comparisons.compare(results.read(tmp_path), "finetune")
    assert sections.answer(comparison) == (
        "**finetune - pretrain: +0.00 points**. Verdicts by cell: a single pair of "
        "runs (1)."
    )


def test_verdicts_follow_their_intervals(gathered):
    header, _, *lines = sections.verdict_table(gathered.comparisons[0]).splitlines()
    assert header.startswith("| data set | model | pairs |")
    assert len(lines) == 3
    assert re.match(
        r"\| cifar10 \| resnet18 \| 5 \| \+\d\.\d\d \| \+\d\.\d\d to \+\d\.\d\d \| "
        r"finetune better by \d\.\d\d ± \d\.\d\d points \|",
        lines[0],
    )


def test_table_1_marks_the_best_setting_and_gaps(gathered):
    text = sections.table1(gathered.accuracies, FINAL)
    assert re.search(r"\| cifar10 \| finetune \| \*\*8\d\.\d\d ± 0\.\d\d\*\*", text)
    assert "published 88.47: -" in text
    assert "not run" in text  # cifar10 has no resnet50.


def test_a_rule_that_cannot_be_applied_has_no_mean(gathered):
    table = sections.rules_table(gathered.accuracies)
    assert "| best epoch on the validation images |" in table
    assert "| none |" in table


def test_data_sets_show_their_statistics_and_explain_their_settings(gathered):
    table = sections.data_table(gathered.data_sets).splitlines()
    rows_of = {
        name: next(row for row in table if "| cifar10 " in row and name in row)
        for name in ("pretrain", "instance")
    }
    assert "| 0.066, -0.250, -0.471 | 1.092, 0.893, 0.444 |" in rows_of["pretrain"]
    assert rows_of["instance"].endswith("| - | - |")
    assert "validation" not in "".join(table)
    with_some = [row | {"validation_examples": 500} for row in gathered.data_sets]
    assert "10,000 test, 500 validation" in sections.data_table(with_some)
    assert sorted(sections.settings_list(gathered.data_sets).splitlines()) == sorted(
        f"- `{name}`: {SETTINGS[name].formula}." for name in gathered.results.settings
    )


def test_published_differences_are_listed_with_ours(gathered):
    table = sections.published_table(gathered.published_differences)
    assert "+0.50 points; the test set alone" in table
    assert "(n = 5) |" in table
    assert "| not run |" in table


def test_missing_runs_are_listed(tmp_path, study):
    assert sections.missing(study) == "All 60 runs of the grid are finished."
    write_run(tmp_path, normalization="finetune", seed=1)
    write_run(tmp_path, normalization="pretrain", seed=1)
    write_run(tmp_path, normalization="pretrain", seed=2)
    text = sections.missing(results.read(tmp_path))
    assert text.startswith("**Missing: 1 of 4 runs.**")
    assert "| cifar10/resnet18-finetune/seed-2 | `not run` |" in text


def test_recipe_hardware_and_versions_are_listed(study):
    assert sections.how(study).splitlines() == [
        "- 60 runs, 60 min in total.",
        "- 3 epochs on 50,000 images, batches of 256, learning rate 0.001, float32: "
        "resnet18 with the weights `tv_in1k`, resnet50 with the weights `tv_in1k`.",
        "- 60 runs on a processor, 2 cores, no GPU; Python 3.12.0, Keras 3.15.1 on "
        "tensorflow, TensorFlow 2.21.0, normtest_tf 0.1.0.",
    ]


def test_a_cell_in_a_few_lines_for_a_terminal(tmp_path):
    for seed, finetune, pretrain in ((1, 0.85, 0.8), (2, 0.91, 0.9)):
        write_run(tmp_path, normalization="finetune", seed=seed, final=finetune)
        write_run(tmp_path, normalization="pretrain", seed=seed, final=pretrain)
    found = results.read(tmp_path)
    (cell,), comparison = found.cells, comparisons.compare(found, "finetune")
    assert sections.pair_table(found, comparison, cell).splitlines() == [
        "seed  pretrain  finetune  finetune - pretrain",
        "1     80.00%    85.00%    +5.00 points",
        "2     90.00%    91.00%    +1.00 points",
    ]
    # t(0.975, 1) = 12.7062; the half width of 5 and 1 is twice that.
    numbers, verdict = sections.sentence(comparison, cell).splitlines()
    assert numbers == (
        "finetune - pretrain: +3.00 points, 95% interval -22.41 to +28.41, n = 2 pairs."
    )
    assert verdict.startswith("Undecided: +3.00 ± 25.41 points; ")


def test_a_single_pair_has_no_interval(tmp_path):
    write_run(tmp_path, normalization="finetune", final=0.8)
    write_run(tmp_path, normalization="pretrain", final=0.7)
    found = results.read(tmp_path)
    comparison = comparisons.compare(found, "finetune")
    assert sections.sentence(comparison, found.cells[0]).splitlines() == [
        "finetune - pretrain: +10.00 points.",
        "A single pair of runs can't separate a difference from chance.",
    ]
