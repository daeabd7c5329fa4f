"""Folders like those that the PyTorch study's code writes."""

import os

import pytest

from normtest_tf import backbones, datasets, errors, normalization
from normtest_tf.analysis import published
from tests.analysis.pytorch_results import write, write_pytorch_result


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
def test_a_folder_names_its_data_set_model_and_setting(tmp_path, folder, cell):
    write_pytorch_result(tmp_path / "saved_model", folder, 0.875)
    table = published.load(str(tmp_path / "saved_model"))
    assert table.accuracies == {cell: [0.875]}


def test_several_runs_of_a_condition_are_read(tmp_path):
    for seed, accuracy in ((1, 0.1), (2, 0.2), (3, 1)):
        write_pytorch_result(
            tmp_path, f"cifar10/resnet18/finetune/seed{seed}", accuracy
        )
    write_pytorch_result(tmp_path, "cifar10/resnet18/pretrain/seed1", 0)
    assert published.load(tmp_path).accuracies == {
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
    assert published.names_in(text, names) == found


def test_only_the_longest_of_overlapping_names_counts():
    names = ["svhn", "svhn_cropped", "cropped"]
    assert published.names_in("svhn-cropped/x", names) == {"svhn_cropped"}
    assert published.names_in("svhn-crop", names) == {"svhn"}


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
def test_a_path_that_names_no_condition_or_two_is_refused(tmp_path, folder, words):
    write_pytorch_result(tmp_path, folder)
    with pytest.raises(errors.UsageError) as caught:
        published.load(tmp_path)
    for word in [os.path.join(folder, "best_results.json"), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "it is empty"),
        ("{", "not complete JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[0.5]", "JSON object"),
        ('{"best_epoch": 3}', "lacks 'best_acc'"),
        ('{"best_acc": 88.47}', "88.47, which looks like a percentage"),
        ('{"best_acc": 0.5, "best_acc": 0.6}', "'best_acc' twice"),
        ('{"best_acc": -0.1}', "-0.1"),
        ('{"best_acc": NaN}', "NaN"),
        ('{"best_acc": 1e999}', "infinite"),
        ('{"best_acc": true}', "True"),
        ('{"best_acc": "0.5"}', "0.5"),
        ('{"best_acc": null}', "None"),
    ],
)
def test_a_file_without_an_accuracy_is_refused(tmp_path, content, word):
    write_pytorch_result(tmp_path, "cifar10/resnet18/pretrain")
    path = tmp_path / "cifar10/resnet18/finetune/best_results.json"
    write(path, content)
    with pytest.raises(errors.UsageError) as caught:
        published.load(tmp_path)
    assert "\n" not in str(caught.value)
    for expected in (str(path), word, '{"best_epoch": 41, "best_acc": 0.8847}'):
        assert expected in str(caught.value)


def test_a_byte_order_mark_and_other_line_ends_are_harmless(tmp_path):
    path = tmp_path / "cifar10/resnet18/finetune/best_results.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'\xef\xbb\xbf{"best_epoch": 3,\r\n"best_acc": 0.5}\r\n')
    assert list(published.load(tmp_path).accuracies.values()) == [[0.5]]


def test_links_large_files_and_pipes_are_ignored(tmp_path):
    write_pytorch_result(tmp_path, "cifar10/resnet18/finetune")
    (tmp_path / "cifar10/resnet18/pretrain").symlink_to(tmp_path)
    large = '{"best_acc": 0.5}' + " " * 1_000_000
    write(tmp_path / "svhn/resnet18/finetune/best_results.json", large)
    os.makedirs(tmp_path / "svhn/resnet18/pretrain")
    os.mkfifo(tmp_path / "svhn/resnet18/pretrain/best_results.json")
    cells = published.load(tmp_path).accuracies
    assert cells == {("cifar10", "resnet18", "finetune"): [0.5]}


def test_a_file_that_links_to_itself_is_refused(tmp_path):
    circle = tmp_path / "svhn/resnet18/minmax/best_results.json"
    circle.parent.mkdir(parents=True)
    circle.symlink_to(circle)
    with pytest.raises(errors.UsageError, match=r"can't read .*minmax"):
        published.load(tmp_path)
