import json

import numpy as np
import pytest

from normtest_tf import errors
from normtest_tf.analysis import Cell, results
from normtest_tf.normalization import SETTINGS
from normtest_tf.runs import RULES, RunName
from normtest_tf.runs.history import BEST_VALIDATION, FINAL
from tests.helpers import ROOT
from tests.helpers.fake_results import write_run


def test_runs_are_sorted_and_paired_by_seed(tmp_path):
    write_run(tmp_path, normalization="pretrain", seed=10, final=0.80)
    write_run(tmp_path, normalization="pretrain", seed=2, final=0.70)
    write_run(tmp_path, normalization="finetune", seed=2, final=0.7011)
    write_run(tmp_path, normalization="finetune", seed=3, final=0.9)
    found = results.read(tmp_path)
    (cell,) = found.cells
    assert cell == Cell(dataset="cifar10", model="resnet18")
    assert found.settings == ["finetune", "pretrain"]
    assert [run.name.seed for run in found.runs_of(cell, "pretrain")] == [2, 10]
    differences = found.paired_differences(cell, "finetune", "pretrain", FINAL)
    assert differences == {2: 0.11}
    np.testing.assert_allclose(
        found.accuracy_by_epoch(cell, "finetune"),
        [[0.35055, 0.7111, 0.7011], [0.45, 0.91, 0.9]],
    )


def test_runs_of_different_augmentations_are_not_pooled(tmp_path):
    write_run(tmp_path, seed=1)
    path = write_run(tmp_path, seed=2) / "config.json"
    values = json.loads(path.read_text())
    for name, padding in (("flip", 0), ("pad_crop_flip", 8), ("pad_crop_flip", 4)):
        values["resolved"] |= {"augmentation": name, "padding": padding}
        path.write_text(json.dumps(values))
        if padding == 4:  # Then there was no choice.
            break
        with pytest.raises(
            errors.UsageError, match=r"compared, .* padding: 4 and [08]"
        ):
            results.read(tmp_path)
    assert len(results.read(tmp_path).runs) == 2


def test_missing_runs_are_reported_with_the_reason(tmp_path):
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


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"backend": "tensorflow"', '"backend": "jax"', "backend: tensorflow and jax"),
        (
            '"precision": "f',
            '"own_statistics": 2, "precision": "f',
            "own_statistics: None and 2",
        ),
    ],
)
def test_runs_that_were_computed_otherwise_are_not_compared(tmp_path, old, new, words):
    write_run(tmp_path, seed=1)
    path = write_run(tmp_path, seed=2) / "config.json"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(errors.UsageError, match=words):
        results.read(tmp_path)


def test_folders_without_readable_results_are_refused(tmp_path):
    for name in ("missing", "x" * 5000):
        with pytest.raises(errors.UsageError, match="is not a folder"):
            results.read(tmp_path / name)
    with pytest.raises(errors.UsageError, match="no finished run"):
        results.read(tmp_path)


def test_each_rule_finds_its_accuracy(tmp_path):
    write_run(tmp_path, final=0.7, best=0.9, best_validation=0.8)
    (run,) = results.read(tmp_path).runs
    found = {name: run.result.test_accuracy(rule) for name, rule in RULES.items()}
    assert found == {"final": 0.7, "best_test": 0.9, "best_validation": 0.8}
    assert run.setting is SETTINGS["finetune"]


def test_a_rule_needs_runs_with_its_accuracy(tmp_path):
    write_run(tmp_path)
    found = results.read(tmp_path)
    results.check_rule(found, FINAL)
    with pytest.raises(errors.UsageError, match=r"best_validation.*seed-1 has none"):
        results.check_rule(found, BEST_VALIDATION)


def test_runs_can_be_picked_out_of_a_folder_with_others(tmp_path):
    write_run(tmp_path, normalization="finetune", seed=1)
    write_run(tmp_path, normalization="finetune", seed=2, epochs=50)
    names = [
        RunName("cifar10", "resnet18", "finetune", 1),
        RunName("cifar10", "resnet18", "pretrain", 1),
    ]
    found = results.read(tmp_path, names)
    assert [run.name for run in found.runs] == names[:1]
    assert found.missing == {str(names[1]): "not run"}


def test_other_runs_than_those_picked_out_may_be_unusable(tmp_path):
    folder = write_run(tmp_path, seed=1)
    write_run(tmp_path, seed=2).rename(folder.with_name("seed-3"))
    write_run(tmp_path, seed=2).rename(folder.with_name("seed-02"))
    name = RunName("cifar10", "resnet18", "finetune", 1)
    assert [run.name for run in results.read(tmp_path, [name]).runs] == [name]


def test_a_folder_that_holds_only_a_renamed_run_is_one_with_results(tmp_path):
    assert not results.has_finished_run(tmp_path)
    folder = write_run(tmp_path, seed=2)
    assert results.has_finished_run(tmp_path)
    folder.rename(folder.with_name("seed-2 (copy)"))
    assert results.has_finished_run(tmp_path)


def test_settings_come_in_the_order_of_the_registry(tmp_path):
    write_run(tmp_path, "cifar10", normalization="minmax")
    write_run(tmp_path, "cifar100", normalization="finetune")
    assert results.read(tmp_path).settings == ["finetune", "minmax"]


def test_the_runs_of_version_0_1_0_are_read():
    found = results.read(ROOT / "plots" / "studies" / "cpu" / "runs")
    assert len(found.runs) == 80
    assert len(found.cells) == 4
    assert found.missing == {}
    for rule in RULES.values():
        results.check_rule(found, rule)
