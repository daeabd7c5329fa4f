"""What a `.keras` file is instead of a model."""

import io
import zipfile

import pytest

from normtest_tf import errors
from normtest_tf.export import archives, metadata, prediction
from normtest_tf.runs import RunFolder
from tests.export.helpers import small_model, write_run


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    small_model().save(path)
    return path.read_bytes()


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return file.getvalue()


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
def test_a_file_that_was_cut_off_is_named_so(content, kept, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(content[: int(kept * len(content))])
    for read in (archives.check, prediction.load_model, metadata.find):
        with pytest.raises(errors.UsageError, match=r"model\.keras: its end is miss"):
            read(path)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (None, "is missing"),
        (b"", "it is empty: copy it again"),
        (bytes(2000), "zero bytes"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "run `git lfs pull`$"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "not the zip archive"),
    ],
)
def test_other_files_are_named_as_what_they_are(stored, words, tmp_path):
    path = tmp_path / "model.keras"
    if stored is not None:
        path.write_bytes(stored)
    with pytest.raises(errors.UsageError, match=words):
        archives.check(path)
    with pytest.raises(errors.UsageError, match=words):
        prediction.load_model(path)


def test_a_path_that_no_system_has_is_refused(tmp_path):
    path = tmp_path / ("x" * 300 + ".keras")
    with pytest.raises(errors.UsageError, match="is missing or not a file"):
        archives.check(path)
    for given in (path, tmp_path / ("x" * 300)):
        with pytest.raises(errors.UsageError, match="does not exist"):
            metadata.find(given)
    with pytest.raises(errors.UsageError, match="is not a folder"):
        metadata.describe_run(RunFolder(path), "logits")


def test_the_model_in_a_runs_folder_is_checked_with_its_metadata(content, tmp_path):
    folder = write_run(tmp_path)
    with pytest.raises(errors.UsageError, match=r"model\.keras is missing"):
        metadata.find(tmp_path)
    folder.model.write_bytes(content[:-9])
    with pytest.raises(errors.UsageError, match="it was cut off"):
        metadata.find(tmp_path)
    folder.model.write_bytes(content)
    assert metadata.find(tmp_path) == metadata.describe_run(folder, "logits")


def test_a_changed_byte_or_another_archive_is_no_model(content, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    archives.check(path)
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    for stored, words in [(changed, "CRC"), (zipped(a="b"), "config.json")]:
        path.write_bytes(stored)
        with pytest.raises(errors.UsageError, match=f"can't load .*{words}.*again"):
            prediction.load_model(path)
