import math

import numpy as np
import pytest

from normtest_tf.analysis import comparisons, effects, results, verdicts
from normtest_tf.runs.history import BEST_TEST, BEST_VALIDATION, FINAL
from tests.helpers.fake_results import write_run, write_study

CELLS = [("cifar10", "resnet18"), ("cifar100", "resnet18")]


def test_a_comparison_holds_pairs_judgements_and_means(tmp_path):
    write_study(tmp_path, CELLS, seeds=3)
    found = results.read(tmp_path)
    comparison = comparisons.compare(found, "instance", margin=0.4)
    assert str(comparison) == "instance - pretrain"
    values = {}
    for cell in found.cells:
        by_seed = found.paired_differences(cell, "instance", "pretrain", FINAL)
        assert comparison.seed_differences[cell] == by_seed
        values[cell] = list(by_seed.values())
    assert comparison.judgements == verdicts.judge_family(
        values, treatment="instance", control="pretrain", margin=0.4
    )
    means = [np.mean(differences) for differences in values.values()]
    assert comparison.over_cells == effects.estimate_mean(means)
    assert comparison.pooled.mean == pytest.approx(comparison.over_cells.mean)


def test_cells_and_settings_without_pairs_are_left_out(tmp_path):
    write_run(tmp_path, *CELLS[0], "finetune", seed=1)
    write_run(tmp_path, *CELLS[0], "pretrain", seed=1)
    write_run(tmp_path, *CELLS[0], "minmax", seed=2)
    write_run(tmp_path, *CELLS[1], "finetune", seed=1)
    found = results.read(tmp_path)
    assert comparisons.compare(found, "minmax") is None
    (only,) = comparisons.compare_all(found, rule=FINAL, margin=0.5)
    assert only.treatment == "finetune"
    assert list(only.judgements) == CELLS[:1]


def test_every_setting_is_compared_with_the_control(tmp_path):
    write_study(tmp_path, CELLS, seeds=2)
    found = comparisons.compare_all(results.read(tmp_path), rule=FINAL, margin=0.5)
    assert [str(comparison) for comparison in found] == [
        "finetune - pretrain",
        "instance - pretrain",
        "minmax - pretrain",
    ]


def test_each_rule_compares_its_own_epochs(tmp_path):
    for seed in range(3):
        for setting, best, best_validation in (
            ("finetune", 0.9, 0.85),
            ("pretrain", 0.8 + seed / 1000, 0.8),
        ):
            write_run(
                tmp_path,
                normalization=setting,
                seed=seed,
                best=best,
                best_validation=best_validation,
            )
    found = results.read(tmp_path)
    by_rule = {
        rule.name: comparisons.compare(found, "finetune", rule=rule).over_cells.mean
        for rule in (FINAL, BEST_TEST, BEST_VALIDATION)
    }
    expected = {"final": 0, "best_test": 9.9, "best_validation": 5}
    assert by_rule == pytest.approx(expected)


def test_the_error_of_the_test_set_is_that_of_the_mean_accuracy(tmp_path):
    write_run(tmp_path, seed=1, final=0.88)
    write_run(tmp_path, seed=2, final=0.92)
    found = results.read(tmp_path)
    (cell,) = found.cells
    # sqrt(.9 * .1 / 10,000) in points.
    error = comparisons.test_set_error(found, cell, "finetune", FINAL)
    assert error == pytest.approx(0.3)
    missing = comparisons.test_set_error(found, cell, "finetune", BEST_VALIDATION)
    assert math.isnan(missing)
