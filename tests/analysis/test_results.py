import json

import numpy as np
import pytest

from normtest_tf import errors
from normtest_tf.analysis import results
from tests.helpers.fake_results import write_run


def test_runs_are_sorted_and_paired_by_seed(tmp_path):
    write_run(tmp_path, normalization="pretrain", seed=10, final=0.80)
    write_run(tmp_path, normalization="pretrain", seed=2, final=0.70)
    write_run(tmp_path, normalization="finetune", seed=2, final=0.7011)
    write_run(tmp_path, normalization="finetune", seed=3, final=0.9)
    found = results.read(tmp_path)
    assert found.cells == [("cifar10", "resnet18")]
    assert found.settings == ["finetune", "pretrain"]
    assert [run.seed for run in found.of(found.cells[0], "pretrain")] == [2, 10]
    differences = found.differences(found.cells[0], "finetune", "pretrain", "final")
    assert differences == {2: 0.11}
    np.testing.assert_allclose(
        found.curves(found.cells[0], "finetune"),
        [[0.35055, 0.7111, 0.7011], [0.45, 0.91, 0.9]],
    )


def test_what_is_missing_is_told(tmp_path):
    write_run(tmp_path, normalization="pretrain", seed=1)
    write_run(tmp_path, normalization="finetune", seed=2)
    broken = write_run(tmp_path, normalization="finetune", seed=1)
    (broken / "result.json").unlink()
    (broken / "failed.json").write_text('{"error": "the loss is not finite"}')
    stopped = write_run(tmp_path, normalization="minmax", seed=1)
    (stopped / "result.json").unlink()
    plan = {"format": 1, "runs": ["cifar100/resnet18-pretrain/seed-1"]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert results.read(tmp_path).missing == {
        "cifar10/resnet18-finetune/seed-1": "failed: the loss is not finite",
        "cifar10/resnet18-minmax/seed-1": "interrupted",
        "cifar10/resnet18-pretrain/seed-2": "not run",
        "cifar100/resnet18-pretrain/seed-1": "not run",
    }


@pytest.mark.parametrize("changed", [{"epochs": 50}, {"train_examples": 100}])
def test_runs_of_different_recipes_are_not_pooled(tmp_path, changed):
    write_run(tmp_path, seed=1)
    write_run(tmp_path, seed=2, **changed)
    with pytest.raises(errors.UsageError, match=next(iter(changed))):
        results.read(tmp_path)
    write_run(tmp_path / "other", seed=1)
    write_run(tmp_path / "other", model="resnet50", **changed)
    assert len(results.read(tmp_path / "other").cells) == 2


def test_unusable_folders(tmp_path):
    for name in ("missing", "x" * 5000):
        with pytest.raises(errors.UsageError, match="is not a folder"):
            results.read(tmp_path / name)
    with pytest.raises(errors.UsageError, match="no finished run"):
        results.read(tmp_path)
    folder = write_run(tmp_path)
    (folder / "result.json").write_text('{"final_test_accuracy": 80}')
    with pytest.raises(errors.UsageError, match="from 0 to 1"):
        results.read(tmp_path)


@pytest.mark.parametrize("text", ["", "epoch\n", "epoch,test_accuracy\n1,many\n"])
def test_unusable_history(tmp_path, text):
    (write_run(tmp_path) / "history.csv").write_text(text)
    with pytest.raises(errors.UsageError, match=r"history\.csv"):
        results.read(tmp_path)


def test_rules_need_their_columns(tmp_path):
    write_run(tmp_path)
    with pytest.raises(errors.UsageError, match="--validation_examples"):
        results.check_rule(results.read(tmp_path), "selected")
