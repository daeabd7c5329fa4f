"""Folders that contradict themselves are refused, and the line says in what."""

import json
import shutil

import pytest

from normtest_tf import errors
from normtest_tf.analysis import results
from tests.helpers.fake_results import write_run


@pytest.fixture
def folders(tmp_path):
    """The folders of two settings with two seeds, 0.1.0's and today's."""
    return {
        (setting, seed): write_run(
            tmp_path,
            normalization=setting,
            seed=seed,
            final=0.7,
            best=0.9,
            best_validation=0.8,
        )
        for setting in ("finetune", "pretrain")
        for seed in (1, 2)
    }


def refused(results_dir, *words):
    """Checks that results are refused in a line with these words; returns it."""
    with pytest.raises(errors.UsageError) as caught:
        results.read(results_dir)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in words:
        assert str(word) in message
    return message


def edit_json(path, **values):
    """Sets values of a file; None removes one."""
    stored = json.loads(path.read_text()) | values
    kept = {name: value for name, value in stored.items() if value is not None}
    path.write_text(json.dumps(kept, indent=2))


def edit_requested(folder, **values):
    path = folder / "config.json"
    edit_json(path, requested=json.loads(path.read_text())["requested"] | values)


def test_what_belongs_together_is_read(tmp_path, folders):
    assert len(results.read(tmp_path).runs) == len(folders)


def test_a_renamed_seed_is_refused(tmp_path, folders):
    folder = folders["finetune", 2]
    renamed = folder.rename(folder.with_name("seed-9"))
    refused(tmp_path, renamed / "config.json", "says seed 2", "name says 9", "Restore")


def test_swapped_settings_are_refused(tmp_path, folders):
    one, other = (folders[name, 1].parent for name in ("finetune", "pretrain"))
    one.rename(tmp_path / "x")
    other.rename(one)
    (tmp_path / "x").rename(other)
    refused(tmp_path, one, "says setting pretrain, but", "says finetune")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("cifar10", "cifar100", ["data set cifar10", "name says cifar100"]),
        ("cifar10", "cifar10 (copy)", ["data set cifar10", "name says cifar10 (copy)"]),
        ("cifar10", "folder-cifar10", ["data set cifar10", "name says folder-cifar10"]),
        (
            "cifar10/resnet18-finetune",
            "cifar10/resnet34-finetune",
            ["model resnet18", "name says resnet34"],
        ),
        (
            "cifar10/resnet18-finetune",
            "cifar10/resnet18-finetune-old",
            ["model resnet18", "name says resnet18-finetune"],
        ),
    ],
)
@pytest.mark.usefixtures("folders")
def test_folders_renamed_above_a_run_are_refused(tmp_path, old, new, words):
    (tmp_path / old).rename(tmp_path / new)
    refused(tmp_path, tmp_path / new, *words, "renamed or copied")


@pytest.mark.parametrize("name", ["seed-02", "seed-2 (copy)", "seed-2.bak", "Seed-2"])
def test_copies_under_other_names_are_refused(tmp_path, folders, name):
    shutil.copytree(
        folders["finetune", 2], tmp_path / "cifar10/resnet18-finetune" / name
    )
    refused(tmp_path, name, "is not named seed-NUMBER", "delete it")


@pytest.mark.parametrize("name", ["seed-empty", "seed-2.bak", "notes", ".seed-3"])
def test_folders_without_a_run_are_ignored(tmp_path, folders, name):
    folder = folders["finetune", 2].with_name(name)
    folder.mkdir()
    (folder / "notes.txt").touch()
    assert len(results.read(tmp_path).runs) == len(folders)


@pytest.mark.parametrize("setting", ["finetune", "minmax"])
def test_a_copy_whose_configuration_was_edited_is_refused(tmp_path, folders, setting):
    copy = tmp_path / "cifar10" / f"resnet18-{setting}" / "seed-3"
    shutil.copytree(folders["finetune", 2], copy)
    edit_requested(copy, seed=3, normalization=setting)
    refused(
        tmp_path,
        copy / "history.csv",
        folders["finetune", 2] / "history.csv",
        "are the same",
        "Delete the copy",
    )


@pytest.mark.usefixtures("folders")
def test_equal_accuracies_alone_are_no_copy(tmp_path):
    accuracies = {run.result.final_test_accuracy for run in results.read(tmp_path).runs}
    assert len(accuracies) == 1


RESULT_EDITS = [
    {"final_test_accuracy": 0.99},
    {"final_test_accuracy": 0.700000002},
    {"best_test_accuracy": 0.91},
    {"best_epoch": 3},
    {"best_epoch": 0},
    {"final_epoch": 2},
    {"final_epoch": 4},
    {"kept_epoch": 0},
    {"kept_epoch": 2},
    {"kept_epoch": 4},
    {"final_train_accuracy": 0.2},
    {"best_validation_epoch": 2},
    {"best_validation_accuracy": 0.6},
    {"best_validation_test_accuracy": 0.9},
]


@pytest.mark.parametrize("values", RESULT_EDITS, ids=str)
def test_a_result_that_is_not_its_historys_is_refused(tmp_path, folders, values):
    path = folders["pretrain", 2] / "result.json"
    edit_json(path, **values)
    ((name, value),) = values.items()
    refused(
        tmp_path, f"{path} says {name}={value}, but history.csv says", "--overwrite"
    )


def test_percentages_are_named(tmp_path, folders):
    path = folders["pretrain", 2] / "result.json"
    edit_json(path, final_test_accuracy=81.3)
    refused(tmp_path, path, "final_test_accuracy=81.3", "looks like a percentage")


def test_a_history_of_another_run_is_refused(tmp_path, folders):
    other = write_run(tmp_path / "other", seed=3, final=0.75)
    shutil.copy(other / "history.csv", folders["finetune", 1])
    refused(tmp_path, folders["finetune", 1], "final_test_accuracy=0.7", "says 0.75")


def test_a_history_without_the_validation_that_the_result_has_is_refused(
    tmp_path, folders
):
    path = folders["finetune", 1] / "history.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text("".join(",".join(c[:6] + c[8:]) + "\n" for c in lines))
    refused(tmp_path, "best_validation_test_accuracy=0.8", "history.csv says nothing")


def test_a_result_without_the_validation_that_the_history_has_is_refused(
    tmp_path, folders
):
    names = ("best_validation_accuracy", "best_validation_test_accuracy")
    values = dict.fromkeys((*names, "best_validation_epoch"))
    edit_json(folders["finetune", 2] / "result.json", **values)
    refused(tmp_path, "best_validation_test_accuracy=nothing", "history.csv says 0.8")


@pytest.mark.parametrize(
    "edit", [lambda lines: lines[:3], lambda lines: [*lines, "4" + lines[-1][1:]]]
)
def test_rows_too_few_or_too_many_are_refused(tmp_path, folders, edit):
    path = folders["finetune", 2] / "history.csv"
    lines = edit(path.read_text().splitlines())
    path.write_text("".join(f"{line}\n" for line in lines))
    refused(tmp_path, f"{path} ends with epoch {len(lines) - 1}, but", "says epochs=3")


@pytest.mark.parametrize("epochs", [2, 4, 0, -1])
def test_other_epochs_in_the_configuration_are_refused(tmp_path, folders, epochs):
    edit_requested(folders["finetune", 2], epochs=epochs)
    refused(tmp_path, "ends with epoch 3, but", f"says epochs={epochs}")


def test_the_kept_epoch_is_the_one_asked_for(tmp_path, folders):
    folder = folders["finetune", 2]
    for keep, epoch in (("best_test", 2), ("best_validation", 1), ("final", 3)):
        edit_requested(folder, keep=keep)
        edit_json(folder / "result.json", kept_epoch=epoch)
        assert len(results.read(tmp_path).runs) == len(folders)
    edit_requested(folder, keep="best_test")
    refused(tmp_path, "says kept_epoch=3, but history.csv says 2")


@pytest.mark.parametrize("keep", ["best", 3, ["final"], None, {}])
def test_an_unknown_rule_to_keep_is_refused(tmp_path, folders, keep):
    edit_requested(folders["finetune", 2], keep=keep)
    refused(tmp_path, f"says keep={str(keep)!r}", "--overwrite")


def test_a_rule_to_keep_that_needs_validation_images_is_refused(tmp_path):
    write_run(tmp_path)
    edit_requested(write_run(tmp_path, seed=2), keep="best_validation")
    refused(tmp_path, "seed-2/config.json says keep='best_validation'")


NOT_JSON = {
    "empty": (b"", "it is empty: restore the file from a copy"),
    "cut off": (b'{\n"format": 1,\n"a', "not complete JSON, it ends in line 3"),
    "web page": (b"<!DOCTYPE html>", "a web page, not the file itself"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1", "run `git lfs pull`"),
    "nan": (b'{"a": NaN}', "it holds NaN"),
    "twice": (b'{"format": 1, "format": 1}', "it holds 'format' twice"),
    "list": (b"[]", "does not hold a JSON object; restore"),
    "missing": (None, "No such file or directory; restore"),
}


@pytest.mark.parametrize("how", NOT_JSON)
@pytest.mark.parametrize("name", ["config.json", "result.json"])
def test_what_is_no_record_is_named(tmp_path, folders, how, name):
    content, word = NOT_JSON[how]
    path = folders["finetune", 2] / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    elif name == "result.json":
        assert results.read(tmp_path).missing  # The run is not finished.
        return
    refused(tmp_path, path, word)


def test_numbers_as_text_are_refused(tmp_path, folders):
    path = folders["finetune", 2] / "result.json"
    edit_json(path, final_test_accuracy="0.7")
    refused(tmp_path, path, "final_test_accuracy='0.7'")


def test_a_folder_in_place_of_a_result_is_refused(tmp_path, folders):
    path = folders["finetune", 2] / "result.json"
    path.unlink()
    path.mkdir()
    refused(tmp_path, f"{path} is a folder")


def test_byte_order_marks_and_other_line_ends_are_harmless(tmp_path, folders):
    for folder in folders.values():
        for name in ("config.json", "result.json", "history.csv"):
            data = (folder / name).read_bytes().replace(b"\n", b"\r\n")
            (folder / name).write_bytes(b"\xef\xbb\xbf" + data)
    assert len(results.read(tmp_path).runs) == len(folders)


def test_a_data_set_keeps_its_name_on_any_file_system(tmp_path):
    composed, decomposed = "folder-caf\u00e9", "folder-cafe\u0301"
    write_run(tmp_path, composed)
    (tmp_path / composed).rename(tmp_path / decomposed)
    assert len(results.read(tmp_path).runs) == 1
