"""What a `.keras` file is instead of a model."""

import io
import zipfile

import pytest

from normtest_tf import errors
from normtest_tf.export import archives, metadata, prediction
from tests.export.helpers import small_model


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
        (b"", "it is empty; copy it again"),
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
