"""A results folder read back, unpacked or packed."""

import json
import os
import shutil
import zipfile

import numpy as np
import pytest

from normtest_tf import errors
from normtest_tf.analysis import Cell, results
from normtest_tf.runs import RunName
from normtest_tf.runs.folder import BEST_VALIDATION, FINAL
from tests.datasets.helpers import usage_error
from tests.helpers import ROOT
from tests.helpers.fake_results import write_run


def refused(results_dir, *words):
    """Checks that results are refused in a line with these words."""
    with usage_error(*words):
        results.read(results_dir)


def test_runs_are_sorted_and_paired_by_seed(tmp_path):
    write_run(tmp_path, normalization="pretrain", seed=10, final=0.80)
    write_run(tmp_path, normalization="pretrain", seed=2, final=0.70)
    write_run(tmp_path, normalization="finetune", seed=2, final=0.7011)
    write_run(tmp_path, normalization="finetune", seed=3, final=0.9)
    write_run(tmp_path, "cifar1", normalization="minmax")
    found = results.read(tmp_path)
    _, cell = found.cells
    assert cell == Cell(dataset="cifar10", model="resnet18")
    assert found.settings == ["finetune", "pretrain", "minmax"]
    assert [run.name.seed for run in found.runs_of(cell, "pretrain")] == [2, 10]
    differences = found.paired_differences(cell, "finetune", "pretrain", FINAL)
    assert differences == {2: 0.11}
    np.testing.assert_allclose(
        found.accuracy_by_epoch(cell, "finetune"),
        [[0.35055, 0.7111, 0.7011], [0.45, 0.91, 0.9]],
    )


@pytest.fixture
def incomplete(tmp_path):
    """A folder with two finished runs, and others in each state."""
    folder = tmp_path / "results"
    write_run(folder, normalization="pretrain", seed=1)
    write_run(folder, normalization="finetune", seed=2)
    broken = write_run(folder, normalization="finetune", seed=1)
    (broken / "result.json").unlink()
    (broken / "failed.json").write_text('{"error": "the loss is not finite"}')
    stopped = write_run(folder, normalization="minmax", seed=1)
    (stopped / "result.json").unlink()
    plan = {"format": 1, "runs": ["cifar100/resnet18-pretrain/seed-1"]}
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


def test_missing_runs_are_reported_with_the_reason(incomplete):
    assert results.read(incomplete).missing == {
        "cifar10/resnet18-finetune/seed-1": "failed: the loss is not finite",
        "cifar10/resnet18-minmax/seed-1": "interrupted",
        "cifar10/resnet18-pretrain/seed-2": "not run",
        "cifar100/resnet18-pretrain/seed-1": "not run",
    }


def test_a_packed_folder_holds_the_same_runs(incomplete):
    finished = incomplete / "cifar10/resnet18-pretrain/seed-1"
    (finished / "model.keras").write_text("large")
    (finished / "export").mkdir()
    (finished / "export" / "config.json").write_text("{}")
    archive = incomplete.parent / "runs.zip"
    results.pack(incomplete, archive)
    assert results.read(archive) == results.read(incomplete)
    names = zipfile.ZipFile(archive).namelist()
    assert names == sorted(names)
    assert {name.split("/")[-1] for name in names} == {
        *("plan.json", "config.json", "history.csv", "result.json", "failed.json")
    }
    first = archive.read_bytes()
    for path in incomplete.rglob("*"):
        os.utime(path, (1, 1))
    results.pack(incomplete, archive)
    assert archive.read_bytes() == first
    with pytest.raises(errors.UsageError, match="packed already"):
        results.pack(archive, archive)
    assert archive.read_bytes() == first


def test_a_damaged_file_in_a_zip_is_named(tmp_path):
    (write_run(tmp_path / "results") / "history.csv").write_text("epoch\n")
    results.pack(tmp_path / "results", tmp_path / "runs.zip")
    refused(tmp_path / "runs.zip", "runs.zip/cifar10/resnet18-finetune/seed-1/history")
    data = bytearray((tmp_path / "runs.zip").read_bytes())
    with zipfile.ZipFile(tmp_path / "runs.zip") as archive:
        member = archive.infolist()[0]
    data[member.header_offset + 30 + len(member.filename)] = 0xFF  # No deflated data.
    (tmp_path / "runs.zip").write_bytes(data)
    refused(tmp_path / "runs.zip", "can't read", member.filename, "invalid block type")
    (tmp_path / "runs.zip").write_bytes(data[: len(data) // 2])
    refused(tmp_path / "runs.zip", "can't read", "runs.zip")


def test_a_configuration_names_its_run_wherever_it_is(tmp_path):
    folder = write_run(tmp_path, seed=2)
    write_run(tmp_path, normalization="pretrain", seed=2)
    folder.parent.rename(tmp_path / "cifar10" / "renamed")
    found = results.read(tmp_path)
    assert str(found.runs[0].name) == "cifar10/resnet18-finetune/seed-2"
    assert found.missing == {}
    renamed = tmp_path / "cifar10" / "renamed" / "seed-2"
    shutil.copytree(renamed, renamed.with_name("seed-2 (copy)"))
    refused(tmp_path, renamed, "seed-2 (copy)", "hold the same run")


def test_folders_without_a_run_are_ignored_and_those_without_any_refused(tmp_path):
    folder = write_run(tmp_path / "results")
    (folder.parent / "notes").mkdir()
    shutil.copytree(folder, folder.parent / ".seed-3")
    assert len(results.read(tmp_path / "results").runs) == 1
    refused(tmp_path / "missing", "is not a folder")
    refused(tmp_path / ("x" * 5000), "File name too long")
    refused(tmp_path, "no finished run")


@pytest.mark.parametrize(
    ("file", "part", "values", "word"),
    [
        ("result", None, {"final_test_accuracy": 0.7}, "says final_test_accuracy=0.7,"),
        ("result", None, {"best_epoch": 3}, "but history.csv says 2: they are not of"),
        (
            "config",
            "requested",
            {"normalization": "fintune"},
            "Did you mean 'finetune'",
        ),
        ("config", "requested", {"epochs": 50}, "epochs: 3 and 50"),
        ("config", "resolved", {"augmentation": "flip"}, "pad_crop_flip and flip"),
        ("config", "resolved", {"padding_color": [9] * 3}, "of the padding: black and"),
        ("config", "environment", {"backend": "jax"}, "backend: tensorflow and jax"),
        ("config", None, {"data_fingerprint": "other"}, "fingerprint: abc and other"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(
    tmp_path, file, part, values, word
):
    write_run(tmp_path, seed=1)
    folder = write_run(tmp_path, seed=2)
    path = folder / f"{file}.json"
    stored = json.loads(path.read_text())
    (stored if part is None else stored[part]).update(values)
    path.write_text(json.dumps(stored))
    refused(tmp_path, word)


def test_equal_weights_may_have_two_names(tmp_path):
    write_run(tmp_path, seed=1)
    write_run(tmp_path, seed=2, weights="tv_in1k")  # As by default.
    assert len(results.read(tmp_path).runs) == 2


def test_runs_of_a_cell_have_the_same_given_constants(tmp_path):
    halves, thirds = {"mean": [0.5] * 3}, {"mean": [0.3] * 3}
    write_run(tmp_path, normalization="pretrain", mean=None, std=None)
    for seed in (1, 2):
        write_run(tmp_path, normalization="given", seed=seed, std=[0.2] * 3, **halves)
    assert len(results.read(tmp_path).runs) == 3
    write_run(tmp_path, normalization="given", seed=3, std=[0.2] * 3, **thirds)
    refused(tmp_path, "given seed 1 with given seed 3: mean: ")


def test_a_rule_needs_runs_with_its_accuracy(tmp_path):
    write_run(tmp_path)
    found = results.read(tmp_path)
    results.check_rule(found, FINAL)
    with pytest.raises(errors.UsageError, match=r"best_validation.*seed-1 has none"):
        results.check_rule(found, BEST_VALIDATION)


def test_runs_can_be_picked_out_of_a_folder_with_others(tmp_path):
    write_run(tmp_path, normalization="finetune", seed=1)
    write_run(tmp_path, normalization="finetune", seed=2, epochs=50)
    (write_run(tmp_path, seed=3) / "config.json").write_text("unusable")
    names = [
        RunName("cifar10", "resnet18", "finetune", 1),
        RunName("cifar10", "resnet18", "pretrain", 1),
    ]
    found = results.read(tmp_path, names)
    assert [run.name for run in found.runs] == names[:1]
    assert found.missing == {str(names[1]): "not run"}


def test_the_committed_studies_have_the_runs_of_their_tables():
    tables = list((ROOT / "plots" / "studies").glob("*/runs.csv"))
    assert len(tables) > 6
    for table in tables:
        rows = table.read_text().splitlines()[1:]
        assert len(results.read(table.with_suffix(".zip")).runs) == len(rows)
