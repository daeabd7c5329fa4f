"""Tiny ImageNet, from the files of its published archive."""

from __future__ import annotations

import os
import pathlib

from normtest_tf import errors
from normtest_tf.datasets import loading, tfds
from normtest_tf.datasets.dataset import ImageDataset
from normtest_tf.datasets.loading import ReadingOptions
from normtest_tf.system import files
from normtest_tf.text import Notify

_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
FOLDER = "tiny-imagenet-200"
_AGAIN = "unpack the archive again"


def load(options: ReadingOptions, notify: Notify) -> ImageDataset:
    """Reads the unpacked archive; `data_dir` contains its folder, or is that folder.

    The archive's `val` images become the test split, because its `test` images have
    no labels.
    """
    given = files.expand(options.data_dir or tfds.default_data_dir())
    folders = [given / FOLDER, given]
    root = next((one for one in folders if os.path.isfile(one / "wnids.txt")), None)
    if root is None:
        raise errors.UsageError(
            f"tiny_imagenet is not in --data_dir {given}: no {FOLDER}/wnids.txt. "
            f"Download {_URL}, unpack it, and pass the folder that contains it"
        )
    wnids = sorted(_lines(root / "wnids.txt"))
    words = {}
    if (root / "words.txt").is_file():
        words = dict(
            line.split("\t", 1) for line in _lines(root / "words.txt") if "\t" in line
        )
    labels = _train_labels(root, wnids), _test_labels(root, wnids)
    examples = loading.of_files(root, labels, options)
    class_names = [words.get(wnid, wnid) for wnid in wnids]
    name = "tiny_imagenet"
    return loading.assemble(name, class_names, examples, options, notify, str(root))


def _lines(path: pathlib.Path) -> list[str]:
    """Returns the lines of a text file that are not blank."""
    text = files.read_text(path, _AGAIN)
    return [line.strip() for line in text.splitlines() if line.strip()]


def _train_labels(root: pathlib.Path, wnids: list[str]) -> dict[str, int]:
    """Returns the label of each training image by its path relative to `root`."""
    labels: dict[str, int] = {}
    for label, wnid in enumerate(wnids):
        found = [*(root / "train" / wnid / "images").glob("*.JPEG")]
        if not found:
            raise errors.UsageError(
                f"there are no *.JPEG files in {root}/train/{wnid}/images; {_AGAIN}"
            )
        labels |= {path.relative_to(root).as_posix(): label for path in found}
    return labels


def _test_labels(root: pathlib.Path, wnids: list[str]) -> dict[str, int]:
    annotations = root / "val" / "val_annotations.txt"
    try:
        return {
            f"val/images/{name}": wnids.index(wnid)
            for name, wnid, *_ in (line.split("\t") for line in _lines(annotations))
        }
    except ValueError as error:
        raise errors.unreadable(annotations, error, _AGAIN) from error
