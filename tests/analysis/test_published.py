"""The published numbers, and accuracies read from folders of either kind."""

import math

import numpy as np
import pytest

from normtest_tf import backbones, datasets, errors, normalization
from normtest_tf.analysis import Results, published
from normtest_tf.report import rows
from tests.analysis.pytorch_results import write_pytorch_result
from tests.helpers import programs
from tests.helpers.fake_results import write_run

# Typed in by hand from the study's tables.
ACCURACIES = [
    ("seed_table1", "cifar10", "resnet18", "finetune", 0.8847),
    ("seed_table1", "cifar10", "resnet18", "pretrain", 0.8797),
    ("seed_table1", "cifar100", "densenet161", "pretrain", 0.6807),
    ("extended_table3", "cifar10", "resnet18", "finetune", 0.8788),
    ("extended_table3", "svhn_cropped", "densenet161", "instance", 0.9537),
    ("extended_table3", "tiny_imagenet", "resnet50", "minmax", 0.6724),
]


def published_differences(name):
    """Returns finetune - pretrain, in points, of each data set and model."""
    found = rows.published_rows([published.load(name)], Results([], {}))
    return {(row["dataset"], row["model"]): row["difference"] for row in found}


@pytest.mark.parametrize(
    ("edition", "dataset", "model", "setting", "value"), ACCURACIES
)
def test_accuracies_equal_the_published_ones(edition, dataset, model, setting, value):
    assert published.load(edition).accuracies[dataset, model, setting] == [value]


@pytest.mark.parametrize(
    ("edition", "conditions"), [("seed_table1", 16), ("extended_table3", 64)]
)
def test_every_published_condition_can_be_run(edition, conditions):
    table = published.load(edition)
    assert len(table.accuracies) == len(table.runs) == conditions
    for (dataset, model, setting), (accuracy,) in table.accuracies.items():
        assert dataset in datasets.DATASETS
        assert published.WEIGHTS[model] in backbones.get(model).tags
        assert setting in normalization.SETTINGS
        assert 0.5 < accuracy < 1


def test_editions_name_their_weaknesses():
    for name, epochs in (("seed_table1", 50), ("extended_table3", 100)):
        edition = published.EDITIONS[name]
        assert (edition.name, edition.epochs, edition.seeds) == (name, epochs, (223,))
        assert "test set" in " ".join(edition.weaknesses)
    assert "provenance" in " ".join(edition.weaknesses)


def test_no_published_difference_stands_out():
    """The later table's 16 differences are no further from 0 than chance explains."""
    found = np.array(list(published_differences("extended_table3").values()))
    assert len(found) == 16
    mean, sd = found.mean(), found.std(ddof=1)
    assert mean == pytest.approx(0.067, abs=5e-4)
    assert sd == pytest.approx(0.315, abs=5e-4)
    assert mean / sd * math.sqrt(16) == pytest.approx(0.85, abs=5e-3)
    assert np.sum(found > 0) == 9


def test_the_first_edition_has_the_published_differences():
    found = published_differences("seed_table1")
    assert len(found) == 8
    assert found["cifar10", "resnet18"] == pytest.approx(0.50)
    assert found["cifar10", "densenet161"] == pytest.approx(-0.04)


def test_cells_without_control_have_no_difference(tmp_path):
    write_pytorch_result(tmp_path, "cifar10-resnet18-finetune", 0.9)
    write_pytorch_result(tmp_path, "cifar10-resnet18-pretrain", 0.8)
    write_pytorch_result(tmp_path, "svhn-resnet18-finetune")
    assert published_differences(tmp_path) == {
        ("cifar10", "resnet18"): pytest.approx(10)
    }


def test_results_of_this_package_are_read(tmp_path):
    for seed, best in ((10, 0.75), (2, 0.625)):
        write_run(tmp_path, seed=seed, best=best, final=best - 0.25)
    write_run(
        tmp_path, "folder-cats", "keras_resnet50", "pretrain", final=0.5, best=0.5
    )
    assert published.load(tmp_path).accuracies == {
        ("cifar10", "resnet18", "finetune"): [0.625, 0.75],  # Seeds 2 and 10.
        ("folder-cats", "keras_resnet50", "pretrain"): [0.5],
    }


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (("cifar11", "resnet18", "finetune"), "'cifar11'. Did you mean"),
        (("cifar10", "resnet19", "finetune"), "'resnet19'. Did you mean"),
        (("cifar10", "resnet18", "finetuned"), "'finetuned'. Did you mean"),
    ],
)
def test_results_under_unknown_names_are_refused(tmp_path, names, word):
    folder = write_run(tmp_path, *names)
    with pytest.raises(errors.UsageError) as caught:
        published.load(tmp_path)
    assert word in str(caught.value)
    assert str(folder) in str(caught.value)


def test_anything_but_an_edition_or_results_is_refused(tmp_path):
    write_run(tmp_path / "deeper" / "and" / "deeper")
    (tmp_path / "file").touch()
    for name in ("seed_table2", tmp_path, tmp_path / "file", "~nobody/x", "x" * 5000):
        with pytest.raises(errors.UsageError) as caught:
            published.load(name)
        for word in (*published.EDITIONS, "best_results.json", "seed-<seed>"):
            assert word in str(caught.value)


def test_a_folder_with_both_kinds_of_results_is_refused(tmp_path):
    write_pytorch_result(tmp_path, "cifar10/resnet18/finetune")
    write_run(tmp_path)
    with pytest.raises(errors.UsageError, match="two kinds"):
        published.load(tmp_path)


def test_results_that_contradict_themselves_are_refused(tmp_path):
    folder = write_run(tmp_path, seed=1)
    for name in ("seed-2", "seed-01"):
        folder = folder.rename(folder.with_name(name))
        with pytest.raises(errors.UsageError, match=name):
            published.load(tmp_path)


def test_nothing_heavy_is_imported():
    code = "import sys, normtest_tf.analysis.published as p; p.load('seed_table1')\n"
    code += "print({'keras', 'tensorflow', 'scipy'} & set(sys.modules))"
    assert programs.run_code(code).stdout == "set()\n"
