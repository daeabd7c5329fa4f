"""The noise floor against simulated chaos."""

import math

import numpy as np
import pytest

from normtest_tf.analysis import comparisons, effects, results
from normtest_tf.report import rows, sections
from normtest_tf.runs.history import FINAL
from tests.helpers.fake_results import write_run

CELL = ("cifar10", "resnet18")


@pytest.fixture
def found(tmp_path):
    """Runs whose control arm is 1, -2 and 2 points from the control."""
    for seed, again in enumerate((0.51, 0.48, 0.52)):
        write_run(tmp_path, *CELL, "pretrain", seed=seed, final=0.5)
        write_run(tmp_path, *CELL, "pretrain_again", seed=seed, final=again)
        write_run(tmp_path, *CELL, "finetune", seed=seed, final=0.51)
        write_run(tmp_path, *CELL, "minmax", seed=seed, final=0.3 + seed / 100)
    return results.read(tmp_path)


def test_it_is_the_root_mean_square_of_the_control_arms_differences(found):
    floor = comparisons.noise_floors(found, FINAL)[CELL]
    assert floor.n == 3
    assert floor.rms == pytest.approx(math.sqrt((1 + 4 + 4) / 3))


def test_a_control_arm_that_never_differs_is_none(tmp_path):
    for seed, accuracy in enumerate((0.5, 0.6)):
        for setting in ("pretrain", "pretrain_again"):
            write_run(tmp_path, *CELL, setting, seed=seed, final=accuracy)
    assert comparisons.noise_floors(results.read(tmp_path), FINAL) == {}


def test_equal_settings_stay_within_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    control, treatment = rng.normal(size=(2, 20_000, 5))
    widths = [
        comparisons.NoiseFloor(5, math.sqrt(np.mean(values**2))).half_width(5)
        for values in control
    ]
    within = np.abs(treatment.mean(axis=1)) <= widths
    assert within.mean() == pytest.approx(0.95, abs=0.006)


def test_verdicts_say_whether_an_effect_is_beyond_it(found):
    compared = comparisons.compare_all(found, rule=FINAL, margin=0.5)
    texts = {c.treatment: sections.verdict_table(c) for c in compared}
    assert "no wider than what chaos alone does, ±3.18 (n = 3)" in texts["finetune"]
    assert "beyond what chaos alone does" in texts["minmax"]
    assert "chaos" not in texts["pretrain_again"]


def test_effects_have_its_columns(found):
    compared = comparisons.compare_all(found, rule=FINAL, margin=0.5)
    by_treatment = {
        row["treatment"]: row
        for row in rows.effect_rows(compared)
        if row["dataset"] != "all"
    }
    assert by_treatment["finetune"]["noise_n"] == 3
    assert by_treatment["finetune"]["noise_rms"] == pytest.approx(math.sqrt(3))
    assert by_treatment["pretrain_again"]["noise_n"] is None


def test_without_a_control_arm_there_is_none(tmp_path):
    write_run(tmp_path, *CELL, "pretrain", seed=1)
    assert comparisons.noise_floors(results.read(tmp_path), FINAL) == {}


def test_an_interval_narrows_with_the_number_of_pairs():
    floor = comparisons.NoiseFloor(4, 1.0)
    one, four = floor.half_width(1), floor.half_width(4)
    assert one == pytest.approx(2.776, abs=1e-3)  # Student's t, 4 degrees of freedom.
    assert four == pytest.approx(one / 2)
    effect = effects.estimate_mean([3.0, 3.1])
    assert floor.in_words(effect).startswith("beyond")


def test_folded_runs_are_compared_with_their_statistics_own_setting(tmp_path):
    for name in ("pretrain", "finetune", "finetune_folded"):
        write_run(tmp_path, *CELL, name, seed=1)
    found = comparisons.compare_all(results.read(tmp_path), rule=FINAL, margin=0.5)
    assert [str(comparison) for comparison in found] == [
        "finetune - pretrain",
        "finetune_folded - pretrain",
        "finetune - finetune_folded",
    ]
