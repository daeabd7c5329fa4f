"""Which file a path means, and its digest."""

import hashlib
import json
import os
import subprocess

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from normtest_tf import errors
from normtest_tf.backbones.weights import local_files
from normtest_tf.system import files

CONTENT = save({"a": np.zeros(3, "f4")})
SHARDS = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
INDEX = "model.safetensors.index.json"


def write_shards(folder):
    for number, name in enumerate(SHARDS):
        save_file({f"t{number}": np.zeros(3, "f4")}, folder / name)
    listed = {f"t{number}": name for number, name in enumerate(SHARDS)}
    (folder / INDEX).write_text(json.dumps({"weight_map": listed}))
    return folder / INDEX


def refusal(path):
    with pytest.raises(errors.UsageError) as caught:
        local_files.locate(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_means_itself(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(CONTENT)
    assert local_files.locate(path) == path


def test_what_is_not_there_is_nothing(tmp_path):
    assert local_files.locate(tmp_path / "a.safetensors") is None
    assert local_files.locate(tmp_path / ("a" * 5000)) is None
    assert local_files.locate(tmp_path / "a\0b") is None


def test_an_index_its_folder_and_its_files_mean_the_index(tmp_path):
    index = write_shards(tmp_path)
    for path in (index, tmp_path, *(tmp_path / name for name in SHARDS)):
        assert local_files.locate(path) == index


@pytest.mark.parametrize("name", ["model.keras", "model.safetensors"])
def test_a_folder_means_the_weights_in_it(tmp_path, name):
    (tmp_path / name).write_bytes(CONTENT if name.endswith("tensors") else b"model")
    (tmp_path / "config.json").touch()
    (tmp_path / "pytorch_model.bin").touch()
    assert local_files.locate(tmp_path) == tmp_path / name


def test_other_folders_say_what_they_lack(tmp_path):
    assert "is a folder without weights" in refusal(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
    )
    assert "pytorch_model.bin is a PyTorch pickle" in refusal(tmp_path)
    index = write_shards(tmp_path)
    index.unlink()
    assert f"their index {INDEX} is not beside it" in refusal(tmp_path)
    (tmp_path / "config.json").touch()
    (tmp_path / "history.csv").touch()
    assert "a run without model.keras; finish the run" in refusal(tmp_path)
    write_shards(tmp_path)
    (tmp_path / "model.keras").touch()
    assert f"holds both model.keras and {INDEX}; name one" in refusal(tmp_path)


def test_a_missing_file_of_an_index_is_noticed_before_anything_is_loaded(tmp_path):
    index = write_shards(tmp_path)
    (tmp_path / SHARDS[1]).unlink()
    assert f"{SHARDS[1]}', which is missing" in refusal(index)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads anything")
def test_what_cannot_be_read_is_one_line(tmp_path):
    path = tmp_path / "folder" / "a.safetensors"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    path.chmod(0)
    assert "can't read" in refusal(path)
    path.parent.chmod(0)
    try:
        assert "can't read" in refusal(path)
        assert "can't read" in refusal(path.parent)
    finally:
        path.parent.chmod(0o700)


def test_the_digest_of_a_file_is_its_sha256(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(CONTENT)
    assert local_files.sha256(path) == hashlib.sha256(CONTENT).hexdigest()


def test_a_digest_is_computed_once_unless_the_file_changes(tmp_path, monkeypatch):
    read = []
    whole = files.sha256
    monkeypatch.setattr(files, "sha256", lambda path: read.append(path) or whole(path))
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"one")
    first = local_files.sha256(path)
    assert local_files.sha256(path) == first
    assert len(read) == 1
    path.write_bytes(b"two")
    os.utime(path, ns=(0, 1))
    assert local_files.sha256(path) != first
    assert len(read) == 2


@pytest.mark.parametrize("changed", SHARDS)
def test_the_digest_of_an_index_covers_every_file(tmp_path, changed):
    index = write_shards(tmp_path)
    before = local_files.sha256(index)
    index.write_text(json.dumps(json.loads(index.read_text()), indent=4))
    assert local_files.sha256(index) == before
    number = SHARDS.index(changed)
    save_file({f"t{number}": np.ones(5, "f4")}, tmp_path / changed)
    assert local_files.sha256(index) != before


@pytest.mark.skipif(os.name == "nt", reason="a command of Linux")
def test_the_digest_of_an_index_can_be_checked_without_this_package(tmp_path):
    index = write_shards(tmp_path)
    command = "sha256sum model-*-of-*.safetensors | sha256sum"
    printed = subprocess.run(
        command, shell=True, cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert local_files.sha256(index) == printed.split()[0]


def test_a_file_that_has_gone_is_one_line(tmp_path):
    with pytest.raises(errors.UsageError, match="can't read"):
        local_files.sha256(tmp_path / "a.safetensors")
