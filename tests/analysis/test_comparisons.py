import math

import numpy as np
import pytest

from normtest_tf.analysis import comparisons, effects, results, verdicts
from normtest_tf.report import rows, sections
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


@pytest.fixture
def noisy(tmp_path):
    """Runs whose control arm is 1, -2 and 2 points from the control."""
    for seed, again in enumerate((0.51, 0.48, 0.52)):
        write_run(tmp_path, *CELLS[0], "pretrain", seed=seed, final=0.5)
        write_run(tmp_path, *CELLS[0], "pretrain_again", seed=seed, final=again)
        write_run(tmp_path, *CELLS[0], "finetune", seed=seed, final=0.51)
        write_run(tmp_path, *CELLS[0], "minmax", seed=seed, final=0.3 + seed / 100)
        write_run(tmp_path, *CELLS[1], "pretrain", seed=seed, final=0.5)
        write_run(tmp_path, *CELLS[1], "pretrain_again", seed=seed, final=0.5)
    return results.read(tmp_path)


def test_the_noise_floor_is_the_root_mean_square_of_a_control_arms_differences(noisy):
    # The second cell's never differs: the factor was rounded away.
    ((cell, floor),) = comparisons.noise_floors(noisy, FINAL).items()
    assert (cell, floor.n) == (CELLS[0], 3)
    assert floor.rms == pytest.approx(math.sqrt((1 + 4 + 4) / 3))


def test_verdicts_and_effects_tell_whether_an_effect_is_beyond_it(noisy):
    compared = comparisons.compare_all(noisy, rule=FINAL, margin=0.5)
    texts = {c.treatment: sections.verdict_table(c) for c in compared}
    assert "no wider than what chaos alone does, ±3.18 (n = 3)" in texts["finetune"]
    assert "beyond what chaos alone does" in texts["minmax"]
    assert "chaos" not in texts["pretrain_again"]
    found = {row["treatment"]: row for row in reversed(rows.effect_rows(compared))}
    assert found["finetune"]["noise_n"] == 3
    assert found["finetune"]["noise_rms"] == pytest.approx(math.sqrt(3))
    assert found["pretrain_again"]["noise_n"] is None


def test_equal_settings_stay_within_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    control, treatment = rng.normal(size=(2, 20_000, 5))
    widths = [
        comparisons.NoiseFloor(5, math.sqrt(np.mean(values**2))).half_width(5)
        for values in control
    ]
    within = np.abs(treatment.mean(axis=1)) <= widths
    assert within.mean() == pytest.approx(0.95, abs=0.006)


def test_folded_runs_are_compared_with_their_statistics_own_setting(tmp_path):
    for name in ("pretrain", "finetune", "finetune_folded"):
        write_run(tmp_path, *CELLS[0], name, seed=1)
    found = comparisons.compare_all(results.read(tmp_path), rule=FINAL, margin=0.5)
    assert [str(comparison) for comparison in found] == [
        "finetune - pretrain",
        "finetune_folded - pretrain",
        "finetune - finetune_folded",
    ]
