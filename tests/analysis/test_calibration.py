"""Predictions beside effects, with numbers worked out by hand."""

import math

import pytest

from normtest_tf.analysis import calibration, effects, results
from normtest_tf.analysis.calibration import Outcome, Prediction
from normtest_tf.runs import Cell
from normtest_tf.runs.history import FINAL
from tests.helpers.fake_results import write_run


def outcome(displacement, points, measured, *, take=None, margin=1.0):
    return Outcome(
        cell=Cell("cifar10", "resnet18"),
        training="head",
        displacement=displacement,
        points=points,
        margin=margin,
        take=take,
        effect=effects.estimate_mean([measured, measured]),
    )


@pytest.mark.parametrize(("measured", "is_hit"), [(2.9, True), (1, True), (3.1, False)])
def test_a_hit_is_within_the_predicted_margin(measured, is_hit):
    found = outcome(1, 2.0, measured)
    assert found.is_hit == is_hit
    assert found.error == pytest.approx(measured - 2)


@pytest.mark.parametrize(
    ("measured", "taken", "expected"),
    [
        (3, "finetune", 0),
        (3, "pretrain", 3),
        (3, None, 3),
        (-2, "finetune", 2),
        (-2, None, 0),
    ],
)
def test_a_loss_is_what_the_better_setting_would_have_given(measured, taken, expected):
    assert outcome(1, 0, measured).loss(taken) == pytest.approx(expected)


def test_calibration_counts_hits_errors_ranks_and_losses():
    outcomes = [
        outcome(0.1, 0, 0.2),
        outcome(0.5, 2, 4, take="finetune"),
        outcome(0.3, 0, -1, take="finetune"),
        outcome(0.9, 6, 6, take="finetune"),
    ]
    found = calibration.calibrate(outcomes, "finetune")
    assert (found.n, found.hits) == (4, 3)
    assert found.mean_error == pytest.approx((0.2 + 2 + 1 + 0) / 4)
    assert found.rank_correlation == pytest.approx(1.0)
    # 24 orders, of which this one and its reverse are as extreme.
    assert found.p_value == pytest.approx(2 / 24)
    assert found.followed == pytest.approx((0.2 + 1) / 4)
    assert found.always_control == pytest.approx((0.2 + 4 + 6) / 4)
    assert found.always_treatment == pytest.approx(1 / 4)


def test_two_cells_have_no_rank_correlation():
    found = calibration.calibrate([outcome(1, 0, 1), outcome(2, 0, 2)], "finetune")
    assert math.isnan(found.rank_correlation)


def test_predictions_meet_the_runs_of_their_way_of_training(tmp_path):
    cells = {
        ("cifar10", "resnet18"): {},
        ("cifar10", "resnet18+frozen_bn+recalibrated"): {
            "train": "frozen_bn",
            "recalibrate": True,
        },
        ("cifar10", "resnet18+head"): {"train": "head"},
        ("cifar10+20_per_class", "resnet18"): {"examples_per_class": 20},
    }
    for cell, values in cells.items():
        for setting, final in (("pretrain", 0.5), ("finetune", 0.53)):
            write_run(tmp_path, *cell, setting, final=final, **values)
    write_run(tmp_path, "cifar100", final=0.5)  # It has no effect.
    asked = []

    def prediction_of(run, training):
        asked.append(training)
        if training == "head":
            return Prediction(training, 0.4, points=2.0, margin=1.5, take="finetune")
        return None

    found = results.read(tmp_path)
    (only,), missing = calibration.compare(found, prediction_of, "finetune", FINAL)
    assert asked == ["all", "frozen_bn_recalibrated", "head", "few_images"]
    assert only.effect.mean == pytest.approx(3)
    assert only.is_hit
    assert [*missing, only.cell] == [*list(cells)[:2], list(cells)[3], list(cells)[2]]
