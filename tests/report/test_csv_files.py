import csv

import pytest

from normtest_tf.analysis import comparisons, results, verdicts
from normtest_tf.report import document, rows
from normtest_tf.runs.history import BEST_VALIDATION
from tests.helpers.fake_results import write_run


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# What version 0.1.0 wrote about such pairs.
@pytest.mark.parametrize(
    ("differences", "sentence"),
    [
        ([0.3], "one pair of runs can't tell a difference from chance"),
        ([0.7, 0.8, 0.9], "finetune better by 0.80 ± 0.25 points"),
        (
            [-0.1] * 3,
            "pretrain better by 0.10 ± 0.00 points, which is less than 0.5",
        ),
        (
            [0.1, -0.1, 0.0],
            "no difference larger than 0.5 points (difference +0.00 ± 0.25)",
        ),
        (
            [0.9, -0.1, 0.1],
            "undecided: +0.30 ± 1.31 points; 8 more seeds would show 0.5 points with "
            "80% power",
        ),
        (
            [-0.9, 0.3] * 8,
            "undecided: -0.30 ± 0.33 points; 16 seeds show 0.5 points with 80% power, "
            "yet this difference can be told neither from 0 nor from -0.5",
        ),
    ],
)
def test_verdicts_keep_the_wording_of_version_0_1_0(differences, sentence):
    judged = verdicts.judge_family(
        {0: differences}, treatment="finetune", control="pretrain"
    )
    assert rows.former_wording(judged[0].verdict.text) == sentence


def test_columns_and_rules_keep_the_names_of_version_0_1_0(tmp_path):
    for seed in (1, 2):
        write_run(tmp_path, normalization="pretrain", seed=seed, best_validation=0.7)
        write_run(tmp_path, normalization="finetune", seed=seed, best_validation=0.8)
    found = results.read(tmp_path)
    gathered = document.gather(found, rule=BEST_VALIDATION, margin=0.5)
    rows.write_csv(tmp_path / "table1.csv", gathered.accuracies)
    row = read_csv(tmp_path / "table1.csv")[0]
    assert (row["selected_mean"], row["selected_sd"]) == ("80", "0")
    assert not [name for name in row if "validation" in name]
    compared = comparisons.compare_all(found, rule=BEST_VALIDATION, margin=0.5)
    rows.write_csv(tmp_path / "effects.csv", rows.effect_rows(compared))
    assert {row["rule"] for row in read_csv(tmp_path / "effects.csv")} == {"selected"}
