"""A run's folder on one machine becomes what it is on another."""

import os

import pytest

from normtest_tf.runs import RunFolder
from normtest_tf.sweeps import gathering


@pytest.fixture
def here(tmp_path):
    return RunFolder(tmp_path / "here")


@pytest.fixture
def there(tmp_path):
    return RunFolder(tmp_path / "there")


def write(folder, **contents):
    for name, content in contents.items():
        path = folder.path / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def content(folder):
    return {
        path.relative_to(folder.path).as_posix(): path.read_text()
        for path in folder.path.rglob("*")
        if path.is_file()
    }


def send(watcher, there):
    gathering.apply(there, watcher.change())


def test_a_folder_is_followed_from_the_first_epoch_to_the_result(here, there):
    watcher = gathering.Watcher(here)
    assert watcher.change() is None
    write(here, history_csv="1", checkpoints__1_ckpt="a", _lock="")
    assert watcher.change() is None  # There is no run without config.json.
    write(here, config_json="{}", tensorboard__events="e")
    send(watcher, there)
    expected = {
        "config.json",
        "history.csv",
        "checkpoints/1.ckpt",
        "tensorboard/events",
    }
    assert content(there).keys() == expected
    assert watcher.change() is None
    write(here, checkpoints__2_ckpt="b", history_csv="12")
    change = watcher.change()
    assert change.contents == {"history.csv": b"12", "checkpoints/2.ckpt": b"b"}
    gathering.apply(there, change)
    for path in here.checkpoints.iterdir():
        path.unlink()
    here.checkpoints.rmdir()
    write(here, model_keras="m", result_json="r")
    send(watcher, there)
    assert content(there) == {k: v for k, v in content(here).items() if k != ".lock"}
    assert not there.checkpoints.exists()


def test_an_earlier_run_is_replaced_only_once_the_new_one_has_begun(here, there):
    write(there, config_json="old", result_json="old", model_keras="old")
    write(there, export__model_onnx="kept", _lock="")
    watcher = gathering.Watcher(here)
    here.path.mkdir()
    assert watcher.change() is None
    write(here, config_json="new")
    send(watcher, there)
    assert content(there) == {
        "config.json": "new",
        "export/model.onnx": "kept",
        ".lock": "",
    }


def test_no_moment_shows_a_result_without_its_files(here, there, monkeypatch):
    write(there, config_json="old", result_json="old", model_keras="old")
    write(
        here, config_json="new", model_keras="new", result_json="new", history_csv="1"
    )
    moments = []

    def replace(source, target, original=os.replace):
        moments.append(content(there).get("result.json"))
        original(source, target)

    change = gathering.Watcher(here).change()
    begun = {"config.json": change.contents["config.json"]}
    monkeypatch.setattr(os, "replace", replace)
    gathering.apply(there, gathering.Change(frozenset(begun), begun))
    assert content(there) == {"config.json": "new"}
    gathering.apply(there, change)
    assert moments == [None] * 5
    assert content(there) == content(here)


def test_what_is_sent_to_resume_from_arrives(here, there):
    write(here, config_json="{}", checkpoints__1_ckpt="a", export__model_onnx="large")
    gathering.unpack(there, gathering.pack(here))
    assert content(there) == {"config.json": "{}", "checkpoints/1.ckpt": "a"}
    assert gathering.pack(RunFolder(here.path / "missing")) == {}
