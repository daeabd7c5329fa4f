"""The rule: each way of training is judged in its own mode."""

import dataclasses

import pytest

from normtest_tf.diagnosis import Rule, rule
from normtest_tf.diagnosis.linear_probe import Paired

MODES = {
    "all": "batch",
    "few_images": "batch",
    "head": "stored",
    "head_recalibrated": "reestimated",
    "frozen_bn": "stored",
}
EVIDENCE = rule.Evidence(
    one="finetune",
    other="pretrain",
    displacements={"stored": 0.8, "batch": 0.01, "reestimated": 0.01},
    approach=-0.5,
    differences={},
    images=512,
)


def predicted(batch=0.01, approach=-0.5, **probed):
    evidence = dataclasses.replace(
        EVIDENCE,
        displacements=EVIDENCE.displacements | {"batch": batch},
        approach=approach,
        differences={mode: Paired(points, 0.8) for mode, points in probed.items()},
    )
    return {p.training: p for p in rule.predict(evidence)}


def test_each_way_of_training_is_judged_in_its_own_mode():
    found = predicted()
    assert {name: p.mode for name, p in found.items()} == MODES
    assert found["all"].displacement == 0.01
    assert found["head"].displacement == found["frozen_bn"].displacement == 0.8
    # A large mismatch matters only where statistics are stored.
    assert (found["all"].take, found["all"].points) == (None, 0)
    assert found["all"].confidence == "high"
    assert found["head_recalibrated"].take is None
    assert abs(found["frozen_bn"].points) < abs(found["head"].points)


def test_without_batch_normalization_there_is_one_mode():
    alone = dataclasses.replace(EVIDENCE, displacements={"stored": 0.8}, approach=None)
    found = {p.training: p.mode for p in rule.predict(alone)}
    assert found == {"all": "none", "head": "none"}


@pytest.mark.parametrize(
    ("changes", "training", "points", "take"),
    [
        ({}, "head", 7 * -0.5 * 0.8, "pretrain"),
        ({"approach": 0.5}, "head", 7 * 0.5 * 0.8, "finetune"),
        # The linear probe counts for half, here against what is nearer.
        ({"stored": 8.0}, "head", (0.7 * 8 - 7 * 0.5 * 0.8) / 2, "finetune"),
        # An effect within the noise leaves the choice open.
        ({"approach": 0.0, "stored": 1.0}, "head", 0.35, None),
        # Re-estimated statistics have a probe of their own.
        ({"reestimated": 3.0}, "head_recalibrated", 2.1, "finetune"),
        # A large displacement matters in any way of training.
        ({"batch": 1.2, "approach": 0.3}, "all", 2.5 * 1.2, "finetune"),
        ({"batch": 1.2}, "all", -2.5 * 1.2, "pretrain"),
        ({"batch": 0.4}, "all", 0, None),
    ],
)
def test_an_effect_has_a_size_and_a_sign(changes, training, points, take):
    found = predicted(**changes)[training]
    assert found.points == pytest.approx(points)
    assert found.take == take


def test_effects_in_words_and_of_other_constants():
    found = predicted(stored=14.0)
    assert rule.in_words(found["all"]) == "none beyond ±0.8"
    assert rule.in_words(found["head"]) == "+3.5 (+1.1 to +5.9)"
    assert "+14.0 ± 0.8" in found["head"].reason
    mine = {p.training: p for p in rule.predict(EVIDENCE, Rule(of_head=1.0))}
    assert mine["head"].points == pytest.approx(-0.4)
