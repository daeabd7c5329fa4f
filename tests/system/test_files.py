import pathlib

import pytest

from normtest_tf import errors
from normtest_tf.system import files


def test_a_file_is_complete_or_not_there(tmp_path):
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


def test_a_folder_takes_the_place_of_a_folder_and_of_nothing_else(tmp_path):
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


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_check_writable_leaves_no_trace(tmp_path):
    files.check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(errors.UsageError, match="can't write to"):
            files.check_writable(folder)


@pytest.mark.skipif(not pathlib.Path("/proc").is_dir(), reason="needs /proc")
def test_check_writable_where_nothing_can_be_made():
    with pytest.raises(errors.UsageError, match="/proc/results"):
        files.check_writable(pathlib.Path("/proc/results"))
