"""What a weights file is, whatever its name says."""

import io
import pickle
import re
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
from safetensors.numpy import save

from normtest_tf import errors
from normtest_tf.backbones.weights import formats


def zipped(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return buffer.getvalue()


def hdf5():
    buffer = io.BytesIO()
    h5py.File(buffer, "w").close()
    return buffer.getvalue()


def tarred():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return buffer.getvalue()


def header_of(length):
    """Returns a safetensors file whose header has a length in bytes."""
    for padding in range(length):
        content = save({"a" * (padding + 1): np.zeros(1, "f4")})
        if int.from_bytes(content[:8], "little") == length:
            return content
    raise AssertionError(length)


SAFETENSORS = save({"a": np.zeros(3, "f4")})
KERAS = zipped("metadata.json", "config.json", "model.weights.h5")
PYTORCH = zipped("archive/data.pkl", "archive/data/0")
OLD_PYTORCH = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + b"more"


def test_pickles_of_pytorch_are_recognised():
    assert formats.is_pytorch_pickle(b"PK\x03\x04" + b"\0" * 26 + b"archive/data.pkl")
    assert formats.is_pytorch_pickle(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    assert not formats.is_pytorch_pickle(b"PK\x03\x04" + b"\0" * 26 + b"config.json")
    assert not formats.is_pytorch_pickle(b"\x89HDF\r\n\x1a\n")


def refusal(path, content):
    path.write_bytes(content)
    with pytest.raises(errors.UsageError) as caught:
        formats.identify(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.safetensors", SAFETENSORS, formats.SAFETENSORS),
        ("A.SafeTensors", SAFETENSORS, formats.SAFETENSORS),
        ("a.safetensors.index.json", b"{}", formats.INDEX),
        ("A.SAFETENSORS.INDEX.JSON", b"{}", formats.INDEX),
        ("a.h5", hdf5(), formats.HDF5),
        ("a.H5", hdf5(), formats.HDF5),
        ("a.hdf5", hdf5(), formats.HDF5),
        ("a.Weights.H5", hdf5(), formats.HDF5),
        ("a.keras", KERAS, formats.KERAS),
        ("a.KERAS", KERAS, formats.KERAS),
    ],
)
def test_suffixes_are_known_in_any_letter_case(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    assert formats.identify(tmp_path / name) == expected
    assert formats.named(tmp_path / name) == expected


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_no_safetensors_file_is_taken_for_a_pickle(tmp_path, length):
    """These lengths begin like the pickles of protocols 2 to 5."""
    path = tmp_path / "a.safetensors"
    path.write_bytes(header_of(length))
    assert formats.identify(path) == formats.SAFETENSORS


@pytest.mark.parametrize("content", [PYTORCH, OLD_PYTORCH, pickle.dumps({}, 5) * 9])
@pytest.mark.parametrize(
    "name",
    ["a.pth", "a.pt", "a.bin", "a.ckpt", "a.PTH", "a.pth.tar", "a.h5", "a.keras", "a"],
)
def test_a_pickle_by_any_name_is_never_opened_but_its_conversion_told(
    tmp_path, name, content
):
    message = refusal(tmp_path / name, content)
    assert "is a PyTorch pickle" in message
    command = re.search(r'python -c "([^"]+)"', message)[1]
    compile(command, "command", "exec")
    assert f"torch.load('{(tmp_path / name).as_posix()}', weights_only=True" in command
    assert f"'{(tmp_path / 'a.safetensors').as_posix()}')" in command


def test_a_pickle_named_as_safetensors_must_be_renamed_first(tmp_path):
    """Otherwise `torch.load` reads it as what its suffix says."""
    message = refusal(tmp_path / "a.safetensors", PYTORCH)
    assert "rename it to a.pth and convert it" in message
    assert f"torch.load('{(tmp_path / 'a.pth').as_posix()}'" in message


@pytest.mark.parametrize("name", ["it's.pth", 'a"b.pt', "$HOME.pth", "a`b.bin"])
def test_a_command_to_paste_has_no_name_that_a_shell_would_change(tmp_path, name):
    message = refusal(tmp_path / name, PYTORCH)
    assert "torch.load('model.pth'" in message


def test_unknown_content_under_a_name_of_pytorch_is_not_called_a_pickle(tmp_path):
    assert "is named like a PyTorch pickle" in refusal(tmp_path / "a.ckpt", b"abc")
    message = refusal(tmp_path / "pytorch_model.bin.index.json", b"{}")
    assert "download in .safetensors files" in message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.safetensors", hdf5(), ["an HDF5 file", "safetensors", "end in .h5"]),
        ("a.safetensors", KERAS, ["a Keras model", "end in .keras"]),
        ("a.h5", SAFETENSORS, ["a safetensors file", "end in .safetensors"]),
        ("a.keras", hdf5(), ["an HDF5 file", "end in .h5"]),
        ("a.bin", SAFETENSORS, ["a safetensors file", "end in .safetensors"]),
        ("a.pth", hdf5(), ["an HDF5 file", "end in .h5"]),
        ("a", SAFETENSORS, ["a safetensors file", "end in .safetensors"]),
        ("a.safetensors", zipped("a.txt"), ["a zip archive", "unpack it"]),
        ("a.h5", zipped(), ["a zip archive", "unpack it"]),
        ("a.safetensors", b"\x1f\x8b\x08gzip", ["a gzip archive", "unpack it"]),
        ("a.safetensors", tarred(), ["a tar archive", "unpack it"]),
    ],
)
def test_a_file_with_another_formats_name_is_told_apart(tmp_path, name, content, words):
    message = refusal(tmp_path / name, content)
    for word in words:
        assert word in message


@pytest.mark.parametrize("name", ["a.safetensors", "a.h5", "a.keras", "a.pth", "a"])
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "is empty: download"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (bytes(1000), "zero bytes"),
    ],
)
def test_what_is_there_instead_of_a_file_is_named(tmp_path, name, content, word):
    assert word in refusal(tmp_path / name, content)


def test_other_files_are_refused(tmp_path):
    for name in ("a.onnx", "a.tflite", "a.npz2", "a", "safetensors"):
        assert "does not look like a weights" in refusal(tmp_path / name, b"some text")


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(errors.UsageError, match=r"^can't read .*\.h5: .*No such file"):
        formats.identify(tmp_path / "a.h5")
