"""The rule: each way of training is judged in its own mode."""

import dataclasses

import pytest

from normtest_tf.diagnosis import recommendation
from normtest_tf.diagnosis.linear_probe import Paired

EVIDENCE = recommendation.Evidence(
    one="finetune",
    other="pretrain",
    batch=0.01,
    stored=0.8,
    reestimated=0.01,
    nearer="pretrain",
    probe=None,
    probe_reestimated=None,
    images=512,
)


def predicted(**changes):
    evidence = dataclasses.replace(EVIDENCE, **changes)
    return {p.training: p for p in recommendation.predict(evidence)}


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
    assert found["head"].points < 0
    assert predicted(nearer="finetune")["head"].points > 0
    assert found["head_recalibrated"].take is None
    assert abs(found["frozen_bn"].points) < abs(found["head"].points)


def test_the_linear_probe_is_followed_if_it_is_clear():
    clear = predicted(probe=Paired(4.0, 0.8))
    assert clear["head"].take == "finetune"  # Against the nearer one.
    assert clear["head"].points == 4.0
    unclear = predicted(probe=Paired(4.0, 2.0))
    assert unclear["head"].take is None
    assert unclear["head"].margin == pytest.approx(5.0)
    assert "+4.0 ± 2.0" in unclear["head"].reason


def test_a_large_displacement_lowers_the_confidence():
    found = predicted(batch=1.2)["all"]
    assert found.confidence == "low"
    assert found.margin > predicted()["all"].margin


def test_without_batch_normalization_there_is_nothing_to_freeze():
    found = predicted(batch=None, reestimated=None, nearer=None)
    assert set(found) == {"all", "head"}
    assert {p.mode for p in found.values()} == {"none"}


def test_the_constants_can_be_replaced():
    rule = recommendation.Rule(of_head=1.0)
    mine = {p.training: p for p in recommendation.predict(EVIDENCE, rule)}
    assert mine["head"].points == pytest.approx(-0.4)


def test_effects_in_words():
    words = recommendation.in_words
    found = predicted(probe=Paired(4.0, 0.8))
    assert words(found["all"]) == "none beyond ±0.5"
    assert words(found["head"]) == "+4.0 (+2.0 to +6.0)"
