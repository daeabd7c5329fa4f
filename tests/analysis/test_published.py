"""The published numbers, and accuracies read from folders of either kind."""

import json

import numpy as np
import pytest
from scipy import stats

from normtest_tf import backbones, datasets, normalization
from normtest_tf.analysis import published, results
from tests.datasets.helpers import usage_error
from tests.helpers.fake_results import write_run


def write_study(root, folder, content):
    path = root / folder / "best_results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize(
    ("name", "conditions", "epochs"),
    [("seed_table1", 16, 50), ("extended_table3", 64, 100)],
)
def test_every_published_condition_is_right_and_can_be_run(name, conditions, epochs):
    table = published.load(name)
    assert len(table.accuracies) == conditions
    for (dataset, model, setting), by_seed in table.accuracies.items():
        assert dataset in datasets.DATASETS
        assert model in backbones.ARCHITECTURES
        assert setting in normalization.SETTINGS
        ((seed, accuracy),) = by_seed.items()
        assert (seed, 0.5 < accuracy < 1) == ("223", True)
    assert table.epochs == epochs
    assert f"{epochs} epochs, seed 223. Known weaknesses: " in table.description


def test_no_published_difference_stands_out():
    """The later table's 16 differences are no further from 0 than chance explains."""
    found = np.array(list(published.load("extended_table3").differences().values()))
    assert found.shape == (16, 1)
    assert stats.ttest_1samp(found[:, 0], 0).statistic == pytest.approx(0.85, abs=5e-3)
    first = published.load("seed_table1").differences()
    assert len(first) == 8
    assert first["cifar10", "resnet18"] == pytest.approx([0.50])


def test_the_studys_own_folders_are_read(tmp_path):
    for folder, accuracy in (
        ("CIFAR10/resnet18-finetune", 0.875),
        ("CIFAR10/resnet18-pretrain", 0.75),
        ("SVHN/densenet161-instance", 0.5),
        ("tiny_imagenet_200/resnet50-minmax", 1),
        ("CIFAR100/resnet18-pretrained_set", 0.25),  # As in the first edition.
    ):
        write_study(tmp_path, folder, {"best_epoch": 3, "best_acc": accuracy})
    table, seed = published.load(str(tmp_path)), tmp_path.name
    assert table.accuracies == {
        ("cifar10", "resnet18", "finetune"): {seed: 0.875},
        ("cifar10", "resnet18", "pretrain"): {seed: 0.75},
        ("svhn_cropped", "densenet161", "instance"): {seed: 0.5},
        ("tiny_imagenet", "resnet50", "minmax"): {seed: 1.0},
        ("cifar100", "resnet18", "pretrain"): {seed: 0.25},
    }
    # The cells without a control have no difference.
    assert table.differences() == {("cifar10", "resnet18"): [12.5]}


def test_the_studys_folders_of_several_seeds_are_paired(tmp_path, monkeypatch):
    for seed, setting, accuracy in (
        *(("1", "finetune", 0.75), ("1", "pretrain", 0.5), ("2", "finetune", 0.875)),
        *(("2", "pretrain", 0.75), ("3", "finetune", 1)),
    ):
        folder = f"{seed}/CIFAR10/resnet18-{setting}"
        write_study(tmp_path, folder, {"best_acc": accuracy})
    monkeypatch.chdir(tmp_path)
    table = published.load(".")
    finetune = table.accuracies["cifar10", "resnet18", "finetune"]
    assert finetune == {"1": 0.75, "2": 0.875, "3": 1}
    assert table.differences() == {("cifar10", "resnet18"): [25, 12.5]}
    assert table.title == tmp_path.name


@pytest.mark.parametrize(
    ("folder", "content", "word"),
    [
        ("MNIST/resnet18-finetune", {"best_acc": 0.5}, "the study's layout"),
        ("CIFAR10/resnet18-run1", {"best_acc": 0.5}, "the study's layout"),
        ("CIFAR10/resnet18-finetune", "{", "can't read"),
        ("CIFAR10/resnet18-finetune", {"best_acc": 88.47}, "<= 1.0"),
    ],
)
def test_other_folders_and_contents_are_refused(tmp_path, folder, content, word):
    write_study(tmp_path, folder, content)
    with usage_error(tmp_path / folder, word):
        published.load(tmp_path)


def test_results_of_this_package_are_read(tmp_path):
    folder = tmp_path / "results"
    for seed, best in ((10, 0.75), (2, 0.625)):
        write_run(folder, seed=seed, best=best, final=best - 0.25)
    write_run(folder, "folder-cats", "keras_resnet50", "pretrain", final=0.5, best=0.5)
    results.pack(folder, tmp_path / "runs.zip")
    for path in (folder, tmp_path / "runs.zip"):
        assert published.load(path).accuracies == {
            ("cifar10", "resnet18", "finetune"): {"2": 0.625, "10": 0.75},
            ("folder-cats", "keras_resnet50", "pretrain"): {"1": 0.5},
        }


def test_anything_but_an_edition_or_results_is_refused(tmp_path):
    write_run(tmp_path / "deeper" / "and" / "deeper")
    (tmp_path / "file").touch()
    for name in ("seed_table2", tmp_path, tmp_path / "file", "x" * 5000):
        with usage_error(*published.EDITIONS, "best_results.json", "seed-<seed>"):
            published.load(name)
