"""What each way of training is advised, and from what."""

import pytest

from normtest_tf.diagnosis.advice import advise
from normtest_tf.diagnosis.linear_probe import Paired


@pytest.mark.parametrize(
    ("points", "take"),
    [(1.7, "finetune"), (1.5, "pretrain"), (-1.7, "pretrain")],
)
def test_a_probe_of_its_own_mode_decides_for_a_frozen_backbone(points, take):
    probes = {"reestimated": Paired(points, 0.8), "stored": Paired(-9.0, 0.8)}
    found = [(each.training, each.take) for each in advise(probes)]
    assert found == [("head", "pretrain"), ("head_recalibrated", take)]
    (alone,) = advise({"stored": Paired(points, 0.8)})
    assert alone.take == take
