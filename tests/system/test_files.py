"""Files: complete or absent, JSON in and out, and folders that can be written to."""

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
        (b"{", "can't read .*Expecting"),
        (b"\xff", "can't read .*utf-8"),
        (b"[" * 200_000, "can't read .*recursion"),
        (b" " * (files.MAX_JSON_BYTES + 1), "larger than 10,000,000 bytes"),
        (b"[1]", "does not hold a JSON object"),
    ],
    ids=["missing", "cut", "binary", "deep", "large", "list"],
)
def test_json_that_is_not_an_object_is_refused(tmp_path, content, message):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.UsageError, match=message) as caught:
        files.read_json(path)
    assert str(path) in str(caught.value)


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
