"""The published numbers, and what is read from folders like the study's and ours."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from normtest_tf import backbones, datasets, errors, normalization
from normtest_tf.analysis import results
from normtest_tf.published import editions
from normtest_tf.published.pytorch_folders import names_in
from normtest_tf.report import rows as report_tables
from tests.helpers.fake_results import write_run

# Typed in by hand from the study's tables.
CELLS = [
    ("seed_table1", "cifar10", "resnet18", "finetune", 0.8847),
    ("seed_table1", "cifar10", "resnet18", "pretrain", 0.8797),
    ("seed_table1", "cifar100", "densenet161", "pretrain", 0.6807),
    ("extended_table3", "cifar10", "resnet18", "finetune", 0.8788),
    ("extended_table3", "svhn_cropped", "densenet161", "instance", 0.9537),
    ("extended_table3", "tiny_imagenet", "resnet50", "minmax", 0.6724),
]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def study(root, folder, accuracy=0.5):
    write(root / folder / "best_results.json", {"best_epoch": 3, "best_acc": accuracy})


def differences(name):
    """Returns finetune - pretrain, in points, of each data set and model."""
    nothing = results.Results([], {})
    rows = report_tables.published([editions.load(name)], nothing)
    return {(row["dataset"], row["model"]): row["difference"] for row in rows}


@pytest.mark.parametrize(("edition", "dataset", "model", "setting", "value"), CELLS)
def test_published_cells(edition, dataset, model, setting, value):
    assert editions.load(edition).values[dataset, model, setting] == [value]


@pytest.mark.parametrize(
    ("edition", "cells"), [("seed_table1", 16), ("extended_table3", 64)]
)
def test_every_published_cell_can_be_run(edition, cells):
    table = editions.load(edition)
    assert len(table.values) == len(table.runs) == cells
    for (dataset, model, setting), (accuracy,) in table.values.items():
        assert dataset in datasets.DATASETS
        assert editions.WEIGHTS[model] in backbones.get(model).tags
        assert setting in normalization.SETTINGS
        assert 0.5 < accuracy < 1


def test_editions_tell_their_weaknesses():
    for name, epochs in (("seed_table1", 50), ("extended_table3", 100)):
        edition = editions.EDITIONS[name]
        assert (edition.name, edition.epochs, edition.seeds) == (name, epochs, (223,))
        assert "test set" in " ".join(edition.notes)
    assert "provenance" in " ".join(edition.notes)


def test_no_published_difference_stands_out():
    """The later table's 16 differences are no further from 0 than chance takes them."""
    found = np.array(list(differences("extended_table3").values()))
    assert len(found) == 16
    mean, sd = found.mean(), found.std(ddof=1)
    assert mean == pytest.approx(0.067, abs=5e-4)
    assert sd == pytest.approx(0.315, abs=5e-4)
    assert mean / sd * math.sqrt(16) == pytest.approx(0.85, abs=5e-3)
    assert np.sum(found > 0) == 9


def test_differences_of_the_first_edition():
    found = differences("seed_table1")
    assert len(found) == 8
    assert found["cifar10", "resnet18"] == pytest.approx(0.50)
    assert found["cifar10", "densenet161"] == pytest.approx(-0.04)


def test_cells_without_control_have_no_difference(tmp_path):
    study(tmp_path, "cifar10-resnet18-finetune", 0.9)
    study(tmp_path, "cifar10-resnet18-pretrain", 0.8)
    study(tmp_path, "svhn-resnet18-finetune")
    assert differences(tmp_path) == {("cifar10", "resnet18"): pytest.approx(10)}


@pytest.mark.parametrize(
    ("folder", "cell"),
    [
        ("CIFAR10/resnet18/finetune", ("cifar10", "resnet18", "finetune")),
        ("ResNet18_CIFAR100_Pretrain_223", ("cifar100", "resnet18", "pretrain")),
        ("cifar-10-0/densenet-161 MinMax", ("cifar10", "densenet161", "minmax")),
        ("SVHN/instance/resnet50", ("svhn_cropped", "resnet50", "instance")),
        ("svhn_cropped-resnet50/instance", ("svhn_cropped", "resnet50", "instance")),
        ("TinyImageNet/densenet121-minmax", ("tiny_imagenet", "densenet121", "minmax")),
        ("tiny_imagenet resnet34 minmax", ("tiny_imagenet", "resnet34", "minmax")),
        (
            "tiny-imagenet-200/resnet50/x/minmax",
            ("tiny_imagenet", "resnet50", "minmax"),
        ),
        ("cifar10/keras_resnet50/pretrain", ("cifar10", "keras_resnet50", "pretrain")),
        (
            "cifar100/resnet18/cifar100-resnet18-finetune",
            ("cifar100", "resnet18", "finetune"),
        ),
    ],
)
def test_a_tree_of_the_study(tmp_path, folder, cell):
    study(tmp_path / "saved_model", folder, 0.875)
    table = editions.load(str(tmp_path / "saved_model"))
    assert table.values == {cell: [0.875]}


def test_several_runs_of_a_cell(tmp_path):
    for seed, accuracy in ((1, 0.1), (2, 0.2), (3, 1)):
        study(tmp_path, f"cifar10/resnet18/finetune/seed{seed}", accuracy)
    study(tmp_path, "cifar10/resnet18/pretrain/seed1", 0)
    assert editions.load(tmp_path).values == {
        ("cifar10", "resnet18", "finetune"): [0.1, 0.2, 1.0],
        ("cifar10", "resnet18", "pretrain"): [0.0],
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pretrained/xresnet18/cifar1000/resnet180", set()),
        ("cifar10_0/cifar/100", {"cifar10"}),
        ("a-resnet18 resnet18-pretrain", {"resnet18", "pretrain"}),
        ("cifar_resnet8-resnet-18", {"cifar_resnet8", "resnet18"}),
        ("cifar10-resnet8", {"cifar10"}),
    ],
)
def test_names_are_whole_words(text, found):
    names = [*datasets.DATASETS, *backbones.ARCHITECTURES, *normalization.SETTINGS]
    assert names_in(text, names) == found


def test_of_names_inside_one_another_the_longest_counts():
    names = ["svhn", "svhn_cropped", "cropped"]
    assert names_in("svhn-cropped/x", names) == {"svhn_cropped"}
    assert names_in("svhn-crop", names) == {"svhn"}


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("mnist/resnet18/finetune", ["data set", "names none", "cifar10"]),
        ("cifar10/vgg/finetune", ["model", "names none", "densenet161"]),
        ("cifar10/resnet18/run1", ["setting", "names none", "minmax"]),
        ("cifar10/cifar100/resnet18/minmax", ["data set", "(cifar10, cifar100)"]),
        ("cifar10/resnet18-resnet50/minmax", ["model", "(resnet18, resnet50)"]),
        ("cifar10/resnet18/minmax-instance", ["setting", "(instance, minmax)"]),
    ],
)
def test_a_path_that_names_no_cell_or_two(tmp_path, folder, words):
    study(tmp_path, folder)
    with pytest.raises(errors.UsageError) as caught:
        editions.load(tmp_path)
    for word in [os.path.join(folder, "best_results.json"), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "can't read"),
        ("{", "can't read"),
        ("[" * 100_000, "can't read"),
        ("[0.5]", "JSON object"),
        ('{"best_epoch": 3}', "lacks 'best_acc'"),
        ('{"best_acc": 88.47}', "88.47"),
        ('{"best_acc": -0.1}', "-0.1"),
        ('{"best_acc": NaN}', "nan"),
        ('{"best_acc": 1e999}', "inf"),
        ('{"best_acc": true}', "True"),
        ('{"best_acc": "0.5"}', "0.5"),
        ('{"best_acc": null}', "None"),
    ],
)
def test_a_file_without_an_accuracy(tmp_path, content, word):
    study(tmp_path, "cifar10/resnet18/pretrain")
    path = tmp_path / "cifar10/resnet18/finetune/best_results.json"
    write(path, content)
    with pytest.raises(errors.UsageError) as caught:
        editions.load(tmp_path)
    assert "\n" not in str(caught.value)
    for expected in (str(path), word, '{"best_epoch": 41, "best_acc": 0.8847}'):
        assert expected in str(caught.value)


def test_results_of_this_package(tmp_path):
    for seed, best in ((10, 0.75), (2, 0.625)):
        write_run(tmp_path, seed=seed, best=best, final=best - 0.25)
    write_run(tmp_path, "folder-cats", "keras_resnet50", "pretrain", best=0.5)
    assert editions.load(tmp_path).values == {
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
def test_results_under_unknown_names(tmp_path, names, word):
    folder = write_run(tmp_path, *names)
    with pytest.raises(errors.UsageError) as caught:
        editions.load(tmp_path)
    assert word in str(caught.value)
    assert str(folder) in str(caught.value)


def test_neither_an_edition_nor_results(tmp_path):
    write_run(tmp_path / "deeper" / "and" / "deeper")
    (tmp_path / "file").touch()
    for name in ("seed_table2", tmp_path, tmp_path / "file", "~nobody/x", "x" * 5000):
        with pytest.raises(errors.UsageError) as caught:
            editions.load(name)
        for word in (*editions.EDITIONS, "best_results.json", "seed-<n>"):
            assert word in str(caught.value)


def test_both_kinds_of_results(tmp_path):
    study(tmp_path, "cifar10/resnet18/finetune")
    write_run(tmp_path)
    with pytest.raises(errors.UsageError, match="two kinds"):
        editions.load(tmp_path)


def test_links_and_large_files(tmp_path):
    study(tmp_path, "cifar10/resnet18/finetune")
    (tmp_path / "cifar10/resnet18/pretrain").symlink_to(tmp_path)
    large = '{"best_acc": 0.5}' + " " * 1_000_000
    write(tmp_path / "svhn/resnet18/finetune/best_results.json", large)
    os.makedirs(tmp_path / "svhn/resnet18/pretrain")
    os.mkfifo(tmp_path / "svhn/resnet18/pretrain/best_results.json")
    cells = editions.load(tmp_path).values
    assert cells == {("cifar10", "resnet18", "finetune"): [0.5]}
    circle = tmp_path / "svhn/resnet18/minmax/best_results.json"
    circle.parent.mkdir()
    circle.symlink_to(circle)
    with pytest.raises(errors.UsageError, match=r"can't read .*minmax"):
        editions.load(tmp_path)


def test_nothing_heavy_is_imported():
    code = "import sys, normtest_tf.reference as r; r.load('seed_table1')\n"
    code += "print({'keras', 'tensorflow', 'scipy'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
