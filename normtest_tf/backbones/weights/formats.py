"""The format of a weights file, by its name and by its content.

Nothing is loaded here, least of all a pickle, which can run code.
"""

from __future__ import annotations

import pathlib
import re
import zipfile

from normtest_tf import errors
from normtest_tf.backbones.weights.safetensors_header import MAX_HEADER_BYTES
from normtest_tf.system import files

SAFETENSORS = "safetensors file"
INDEX = "index of safetensors files"
HDF5 = "HDF5 file"
KERAS = "Keras model"
PYTORCH = "PyTorch pickle"
ZIP = "zip archive"

INDEX_SUFFIX = ".safetensors.index.json"
HUB_FILE = "model.safetensors"  # What the Hugging Face Hub calls a network's weights.

# By the last part of a file's name, in lower case; the first that fits counts.
_BY_SUFFIX = {
    ".safetensors": SAFETENSORS,
    INDEX_SUFFIX: INDEX,
    ".weights.h5": HDF5,
    ".h5": HDF5,
    ".hdf5": HDF5,
    ".keras": KERAS,
    **dict.fromkeys((".pth", ".pt", ".bin", ".ckpt", ".pth.tar"), PYTORCH),
    **dict.fromkeys((".pt.tar", ".bin.index.json", ".th", ".pkl"), PYTORCH),
}
SUFFIXES = (".safetensors", INDEX_SUFFIX, ".weights.h5", ".h5", ".hdf5", ".keras")
_MAGIC = {
    b"\x89HDF\r\n\x1a\n": HDF5,
    b"PK\x03\x04": ZIP,
    b"PK\x05\x06": ZIP,  # An empty one.
    b"\x1f\x8b": "gzip archive",
}
_RENAME = {SAFETENSORS: ".safetensors", HDF5: ".h5", KERAS: ".keras"}
_KERAS_MEMBERS = {"config.json", "metadata.json"}
# What a pasted command must not contain within its two kinds of quotes.
_UNQUOTABLE = re.compile(r"[\"'$`\\!\n]")


def identify(path: pathlib.Path) -> str:
    """Returns the format of a weights file that can be loaded.

    Args:
        path: A file. Its suffix may be in any letter case.

    Returns:
        `SAFETENSORS`, `INDEX`, `HDF5` or `KERAS`. The file may still be corrupt.

    Raises:
        UsageError: If it can't be read, or is a file of another kind, by its name or
            by its content; the message names the kind and says what to do.
    """
    head = _read_head(path)
    if problem := files.unusable_kind(head, "download or write it again"):
        raise errors.UsageError(f"{path} is {problem}")
    promised, found = named(path), _found(path, head)
    if found == PYTORCH or (promised == PYTORCH and found in (None, ZIP)):
        what = "is" if found == PYTORCH else "is named like"
        raise errors.UsageError(f"{path} {what} a {PYTORCH}, {_conversion(path)}")
    if found is None or found == promised or (found, promised) == (ZIP, KERAS):
        if promised is None:
            raise errors.UsageError(
                f"{path} does not look like a weights file. Allowed: "
                + ", ".join(SUFFIXES)
            )
        return promised
    advice = (
        f"rename it to end in {_RENAME[found]}"
        if found in _RENAME
        else f"unpack it. Allowed: {', '.join(SUFFIXES)}"
    )
    article = "an" if found == HDF5 else "a"
    wrong_name = f", not the {promised} that its name promises" if promised else ""
    raise errors.UsageError(f"{path} is {article} {found}{wrong_name}; {advice}")


def named(path: pathlib.Path) -> str | None:
    """Returns the format that a file's name promises, None if it promises none.

    For a file that `identify` has accepted, that is its format. It is not read.
    """
    name = path.name.lower()
    return next((kind for end, kind in _BY_SUFFIX.items() if name.endswith(end)), None)


def is_pytorch_pickle(head: bytes) -> bool:
    """Tells whether a file begins like one of `torch.save`, in either format."""
    if head.startswith(b"PK\x03\x04"):
        return b"data.pkl" in head
    return head.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"))


def _read_head(path: pathlib.Path) -> bytes:
    try:
        return files.read_head(path)
    except (OSError, ValueError) as error:
        raise errors.unreadable(path, error) from error


def _found(path: pathlib.Path, head: bytes) -> str | None:
    """Returns the format that a file's content shows, None if it shows none."""
    length = int.from_bytes(head[:8], "little")
    # First: a header of 640 bytes begins like a pickle.
    if head[8:9] == b"{" and length <= MAX_HEADER_BYTES:
        return SAFETENSORS
    kind = next((k for magic, k in _MAGIC.items() if head.startswith(magic)), None)
    if kind == ZIP:
        return _zip_kind(path, head)
    if is_pytorch_pickle(head) and length > MAX_HEADER_BYTES:
        return PYTORCH
    return "tar archive" if head[257:262] == b"ustar" else kind


def _zip_kind(path: pathlib.Path, head: bytes) -> str:
    """Tells what a zip archive is; one that is damaged may be anything."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return PYTORCH if is_pytorch_pickle(head) else ZIP
    if any(name.endswith("data.pkl") for name in names):
        return PYTORCH
    return KERAS if names >= _KERAS_MEMBERS else ZIP


def _stem(name: str) -> str:
    """Returns a file's name without the longest suffix that is known."""
    ends = [end for end in _BY_SUFFIX if name.lower().endswith(end)]
    return name[: len(name) - max(map(len, ends), default=0)]


def _conversion(path: pathlib.Path) -> str:
    """Says how to convert a PyTorch pickle."""
    if path.name.lower().endswith(".index.json"):
        return (
            "or lists several, which can run code and are never opened here. Choose a "
            "download in .safetensors files"
        )
    stem = _stem(path.name)
    old, new = path.as_posix(), path.with_name(f"{stem}.safetensors").as_posix()
    rename = ""
    if named(path) == SAFETENSORS:  # PyTorch takes the suffix at its word.
        old = path.with_name(f"{stem}.pth").as_posix()
        rename = f"rename it to {stem}.pth and "
    if _UNQUOTABLE.search(old):
        old, new = "model.pth", HUB_FILE
    return (
        f"which can run code and is never opened here; {rename}convert it where "
        'PyTorch is installed: python -c "import torch, safetensors.torch as s; '
        f"d = torch.load('{old}', weights_only=True, map_location='cpu'); "
        "d = d.get('state_dict', d.get('model', d)); "
        "s.save_file({k: v.contiguous().clone() for k, v in d.items() "
        f"if torch.is_tensor(v)}}, '{new}')\" "
        "(if its weights lie under another key than state_dict or model, such as "
        "d['net'], name that one; of a whole module, or of TorchScript, save the "
        "state_dict() first)"
    )
