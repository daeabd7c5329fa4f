"""What each way of training is advised, and from what."""

import pytest

from normtest_tf.diagnosis.advice import advise
from normtest_tf.diagnosis.linear_probe import Paired


def advised(pixels, *, has_batch_norm=True, **probed):
    probes = {mode: Paired(points, 0.8) for mode, points in probed.items()}
    found = advise(pixels, probes, has_batch_norm=has_batch_norm)
    return {each.training: (each.rests_on.split()[0], each.take) for each in found}


@pytest.mark.parametrize(("pixels", "take"), [(0.29, None), (0.31, "finetune")])
def test_pixels_decide_where_weights_move_or_labels_are_missing(pixels, take):
    ways = ("all", "head", "head_recalibrated", "frozen_bn")
    assert advised(pixels) == dict.fromkeys(ways, ("pixel", take))
    few = advised(pixels, has_batch_norm=False)
    assert few == dict.fromkeys(("all", "head"), ("pixel", take))


@pytest.mark.parametrize(
    ("points", "take"),
    [(1.7, "finetune"), (1.5, None), (-1.5, None), (-1.7, "pretrain")],
)
def test_a_probe_of_its_own_mode_decides_for_a_frozen_backbone(points, take):
    found = advised(9.0, stored=points)
    assert found["head"] == ("linear", take)
    assert found["frozen_bn"] == found["head_recalibrated"] == ("pixel", "finetune")
    found = advised(9.0, stored=-9.0, reestimated=points)
    assert found["head_recalibrated"] == ("linear", take)
