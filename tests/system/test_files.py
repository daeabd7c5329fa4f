"""Files: complete or absent, JSON in and out, and folders that can be written to."""

import os
import pathlib

import pytest

from normtest_tf import errors
from normtest_tf.system import files


def test_a_file_is_complete_or_absent(tmp_path):
    path = tmp_path / "new" / "file.txt"
    files.write_text(path, "old")

    def fail():
        with files.atomic_path(path) as temporary:
            temporary.write_text("half")
            assert temporary.suffix == ".txt"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_replaces_a_folder_and_nothing_else(tmp_path):
    def write(path, name):
        with files.atomic_path(path) as temporary:
            temporary.mkdir()
            (temporary / name).touch()

    write(tmp_path / "folder", "old")
    write(tmp_path / "folder", "new")
    assert list(tmp_path.rglob("*")) == [tmp_path / "folder", tmp_path / "folder/new"]
    with pytest.raises(OSError, match="folder"):
        files.write_text(tmp_path / "folder", "a file")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write(tmp_path / "file", "new")
    assert (tmp_path / "file").is_file()
    assert (tmp_path / "folder/new").is_file()


def test_only_leftovers_of_killed_processes_are_removed(tmp_path):
    (tmp_path / f"{files.TEMPORARY}killed").mkdir()
    (tmp_path / f"{files.TEMPORARY}killed" / "half").touch()
    (tmp_path / "whole").touch()
    files.remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "whole"]


def test_json_is_read_as_it_was_written(tmp_path):
    value = {"name": "été", "numbers": [1, 2.5, None]}
    files.write_json(tmp_path / "x.json", value)
    assert files.read_json(tmp_path / "x.json") == value


def test_nan_is_not_written_to_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't read .*No such file"),
        (b"{", "not complete JSON, it ends in line 1 .was the copy cut off"),
        (b"\xff", "not UTF-8 text .byte 1"),
        (b"[" * 200_000, "can't read .*nested too deeply"),
        (b" " * (files.MAX_TEXT_BYTES + 1), "larger than 10,000,000 bytes"),
        (b"[1]", "does not hold a JSON object"),
    ],
    ids=["missing", "cut", "binary", "deep", "large", "list"],
)
def test_json_that_is_not_an_object_is_refused(tmp_path, content, message):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.UsageError, match=message) as caught:
        files.read_json(path, "buy another")
    assert str(caught.value).count(str(path)) == 1
    assert str(caught.value).endswith("; buy another")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty: buy another"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run `git lfs pull`"),
        (b"\n<!DOCTYPE html><html>", "a web page, .* download it again"),
        (b"\0" * 600, "zero bytes: copy or download it again"),
        (b'{"a": 1}' + b"\0" * 8, "zero bytes .was the copy cut off..; buy another"),
        ("{}".encode("utf-16"), "UTF-16 text, not UTF-8: save it as UTF-8"),
        ("{}".encode("utf-16-be"), "UTF-16 text, not UTF-8: save it as UTF-8"),
        (b"{\n<<<<<<< HEAD\n}\n=======\n", "merge conflict in Git: resolve it"),
    ],
)
def test_what_tools_leave_in_place_of_text_is_named(tmp_path, content, message):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(errors.UsageError, match=f"can't read .*{message}$"):
        files.read_text(path, "buy another")


def test_folders_and_pipes_are_no_text(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(errors.UsageError, match=f"it is a {name}"):
            files.read_text(tmp_path / name)


def test_a_byte_order_mark_is_left_out(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa9"}\r\n')
    assert files.read_json(path) == {"a": "é"}


def test_checking_whether_a_folder_is_writable_leaves_no_trace(tmp_path):
    files.check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(errors.UsageError, match="can't write to"):
            files.check_writable(folder)


@pytest.mark.skipif(not pathlib.Path("/proc").is_dir(), reason="needs /proc")
def test_a_place_where_nothing_can_be_created_is_not_writable():
    with pytest.raises(errors.UsageError, match="/proc/results"):
        files.check_writable(pathlib.Path("/proc/results"))


def test_the_home_folder_of_an_unknown_user_is_refused():
    assert files.expand("~/x") == pathlib.Path.home() / "x"
    with pytest.raises(
        errors.UsageError, match=r"~no-such-user; write \./~no-such-user"
    ):
        files.expand("~no-such-user/x")
