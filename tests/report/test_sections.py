import re

import pytest

from normtest_tf.analysis import comparisons, results
from normtest_tf.normalization import SETTINGS
from normtest_tf.report import sections
from normtest_tf.runs.history import FINAL
from tests.helpers.fake_results import write_run


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """A single pair of runs, where a further one is missing."""
    folder = tmp_path_factory.mktemp("single")
    write_run(folder, normalization="finetune", final=0.8)
    write_run(folder, normalization="pretrain", final=0.7)
    write_run(folder, normalization="pretrain", seed=2)
    return results.read(folder)


def test_the_answer_counts_verdicts(gathered, single):
    answer = sections.answer(gathered.comparisons[0])
    assert answer.startswith("**finetune - pretrain: +0.95 points** ")
    assert "on average over 3 cells" in answer
    assert answer.endswith("Verdicts by cell: finetune better (3).")
    # A single pair has no interval.
    assert sections.answer(comparisons.compare(single, "finetune")) == (
        "**finetune - pretrain: +10.00 points**. Verdicts by cell: a single pair of "
        "runs (1)."
    )


def test_tables_lay_out_the_rows(gathered):
    header, _, *lines = sections.verdict_table(gathered.comparisons[0]).splitlines()
    assert header.startswith("| data set | model | pairs |")
    assert len(lines) == 3
    assert re.match(
        r"\| cifar10 \| resnet18 \| 5 \| \+\d\.\d\d \| \+\d\.\d\d to \+\d\.\d\d \| "
        r"finetune better by \d\.\d\d ± \d\.\d\d points \|",
        lines[0],
    )
    table1 = sections.table1(gathered.accuracies, FINAL)
    assert re.search(r"\| cifar10 \| finetune \| \*\*8\d\.\d\d ± 0\.\d\d\*\*", table1)
    assert "published 88.47: -" in table1
    assert "not run" in table1  # cifar10 has no resnet50.
    rules = sections.rules_table(gathered.accuracies)
    assert "| best epoch on the validation images |" in rules
    assert "| none |" in rules
    published = sections.published_table(gathered.published_differences)
    assert "+0.50 points; the test set alone" in published
    assert "(n = 5) |" in published
    assert "| not run |" in published


def test_data_sets_show_their_statistics_and_explain_their_settings(gathered):
    table = sections.data_table(gathered.data_sets)
    pretrain = (
        "| cifar10 | 50,000 train, 10,000 test | 10 | 32x32 | pretrain | resnet18 |"
    )
    assert f"{pretrain} 0.066, -0.250, -0.471 | 1.092, 0.893, 0.444 |" in table
    assert "| instance | resnet18 | - | - |" in table
    with_some = [row | {"validation_examples": 500} for row in gathered.data_sets]
    assert "10,000 test, 500 validation" in sections.data_table(with_some)
    assert sorted(sections.settings_list(gathered.data_sets).splitlines()) == sorted(
        f"- `{name}`: {SETTINGS[name].formula}." for name in gathered.results.settings
    )


def test_missing_runs_are_listed(single, study):
    assert sections.missing(study) == "All 60 runs of the grid are finished."
    text = sections.missing(single)
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


def test_a_cell_in_a_few_lines_for_a_terminal(tmp_path, single):
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
    comparison = comparisons.compare(single, "finetune")
    assert sections.sentence(comparison, cell).splitlines() == [
        "finetune - pretrain: +10.00 points.",
        "A single pair of runs can't separate a difference from chance.",
    ]
