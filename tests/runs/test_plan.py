import pytest

from normtest_tf import errors
from normtest_tf.runs import RunName, plan
from normtest_tf.runs.folder import PLAN


def runs_of(*seeds):
    return [
        RunName("digits", "cifar_resnet8", setting, seed)
        for seed in seeds
        for setting in ("pretrain", "finetune")
    ]


def test_a_plan_is_kept_and_extended(tmp_path):
    assert plan.read(tmp_path) == []
    plan.add(tmp_path, runs_of(1))
    plan.add(tmp_path, runs_of(1, 2))
    planned = plan.read(tmp_path)
    assert len(planned) == len(set(planned)) == 4
    assert planned[0] == "digits/cifar_resnet8-pretrain/seed-1"


@pytest.mark.parametrize("content", ['{"runs": [1]}', '{"runs": "a"}', "{}"])
def test_a_plan_that_lists_no_runs_is_refused(tmp_path, content):
    (tmp_path / PLAN).write_text(content)
    with pytest.raises(errors.UsageError, match="does not list runs"):
        plan.read(tmp_path)
