"""The rule: each way of training is judged in its own mode."""

import dataclasses

import pytest

from normtest_tf.diagnosis import rule
from normtest_tf.diagnosis.linear_probe import Paired

EVIDENCE = rule.Evidence(
    one="finetune",
    other="pretrain",
    batch=0.01,
    stored=0.8,
    reestimated=0.01,
    approach=-0.5,
    probe=None,
    probe_reestimated=None,
    images=512,
)


def predicted(**changes):
    evidence = dataclasses.replace(EVIDENCE, **changes)
    return {p.training: p for p in rule.predict(evidence)}


def test_the_mode_is_the_one_that_training_will_use():
    found = predicted()
    modes = {name: p.mode for name, p in found.items()}
    assert modes == {
        "all": "batch",
        "few_images": "batch",
        "head": "stored",
        "head_recalibrated": "reestimated",
        "frozen_bn": "stored",
    }
    assert found["all"].displacement == 0.01
    assert found["head"].displacement == found["frozen_bn"].displacement == 0.8


def test_a_large_mismatch_matters_only_where_statistics_are_stored():
    found = predicted()
    assert (found["all"].take, found["all"].points) == (None, 0)
    assert found["all"].confidence == "high"
    assert found["head"].take == "pretrain"
    assert found["head"].points == pytest.approx(7 * -0.5 * 0.8)
    assert predicted(approach=0.5)["head"].take == "finetune"
    assert found["head_recalibrated"].take is None
    assert abs(found["frozen_bn"].points) < abs(found["head"].points)


def test_the_linear_probe_counts_for_half():
    found = predicted(probe=Paired(8.0, 0.8))["head"]
    assert found.points == pytest.approx((0.7 * 8 - 7 * 0.5 * 0.8) / 2)
    assert found.take == "finetune"  # Against what is nearer to the stored statistics.
    assert "+8.0 ± 0.8" in found.reason


def test_an_effect_within_the_noise_leaves_the_choice_open():
    found = predicted(approach=0.0, probe=Paired(1.0, 2.0))["head"]
    assert found.take is None
    assert found.confidence == "low"


def test_a_large_displacement_matters_in_any_way_of_training():
    found = predicted(batch=1.2, approach=0.3)["all"]
    assert found.take == "finetune"
    assert found.points == pytest.approx(2.5 * 1.2)
    assert predicted(batch=1.2)["all"].take == "pretrain"
    assert predicted(batch=0.4)["all"].take is None


def test_reestimated_statistics_are_judged_by_their_own_probe():
    found = predicted(probe_reestimated=Paired(3.0, 1.0))["head_recalibrated"]
    assert found.points == pytest.approx(2.1)
    assert predicted()["head_recalibrated"].take is None


def test_without_batch_normalization_there_is_nothing_to_freeze():
    found = predicted(batch=None, reestimated=None, approach=None)
    assert set(found) == {"all", "head"}
    assert {p.mode for p in found.values()} == {"none"}


def test_the_constants_can_be_replaced():
    weaker = rule.Rule(of_head=1.0)
    mine = {p.training: p for p in rule.predict(EVIDENCE, weaker)}
    assert mine["head"].points == pytest.approx(-0.4)


def test_effects_in_words():
    words = rule.in_words
    found = predicted(probe=Paired(14.0, 0.8))
    assert words(found["all"]) == "none beyond ±0.8"
    assert words(found["head"]) == "+3.5 (+1.1 to +5.9)"
