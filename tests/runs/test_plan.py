"""plan.json: what is planned, and nothing else."""

import json

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


ENTRIES = [
    "../resnet18-finetune/seed-1",
    "./resnet18-finetune/seed-1",
    "/results/cifar10/resnet18-finetune/seed-1",
    "results/cifar10/resnet18-finetune/seed-1",
    "cifar10/../resnet18-finetune/seed-1",
    "cifar10\\resnet18-finetune\\seed-1",
    "cifar10/resnet18-finetune/seed-01",
    "cifar10/resnet18-finetune/seed-1/",
    "cifar10/resnet18/seed-1",
    "cifar10/resnet18-finetune",
    "/resnet18-finetune/seed-1",
    "seed-1",
    "",
]


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_plan_that_lists_anything_but_runs_is_refused(tmp_path, entry):
    plan.add(tmp_path, runs_of(1))
    text = (tmp_path / PLAN).read_text()
    first = json.dumps(str(runs_of(1)[0]))
    (tmp_path / PLAN).write_text(text.replace(first, json.dumps(entry)))
    with pytest.raises(errors.UsageError, match=r"not a run's path.*; remove it") as e:
        plan.read(tmp_path)
    assert repr(entry) in str(e.value)


@pytest.mark.parametrize("content", [b"", b'{"runs": [', b"<html></html>"])
def test_a_plan_that_is_not_json_is_refused(tmp_path, content):
    (tmp_path / PLAN).write_bytes(content)
    with pytest.raises(errors.UsageError, match=r"can't read .*plan\.json"):
        plan.read(tmp_path)


def test_a_plan_with_a_byte_order_mark_is_read(tmp_path):
    plan.add(tmp_path, runs_of(1))
    path = tmp_path / PLAN
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert plan.read(tmp_path) == [str(name) for name in runs_of(1)]
