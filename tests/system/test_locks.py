"""A folder that one process at a time may write to."""

import pytest

from normtest_tf import errors
from normtest_tf.system import files


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path):
    folder = tmp_path / "run"
    with files.only_writer(folder):
        (folder / "history.csv").touch()
        with pytest.raises(errors.Locked, match="another process is writing"):
            files.only_writer(folder).__enter__()
    with files.only_writer(folder):
        pass
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "history.csv"]


def test_folders_created_for_nothing_but_the_lock_are_removed(tmp_path):
    with files.only_writer(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_that_was_there_before_stays(tmp_path):
    (tmp_path / "a").mkdir()
    with files.only_writer(tmp_path / "a"):
        pass
    assert (tmp_path / "a").is_dir()


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(errors.UsageError, match="can't write to"):
        files.only_writer(tmp_path / "file").__enter__()
