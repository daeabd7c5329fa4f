"""Tiny ImageNet, from the files of its published archive."""

from __future__ import annotations

import os
import pathlib

from normtest_tf import errors
from normtest_tf.datasets import catalogue, loading, tfds
from normtest_tf.datasets.dataset import ImageDataset
from normtest_tf.datasets.loading import ReadingOptions
from normtest_tf.system import files
from normtest_tf.text import Notify

FOLDER = "tiny-imagenet-200"
_AGAIN = "unpack the archive again"


def load(
    description: catalogue.DatasetDescription, options: ReadingOptions, notify: Notify
) -> ImageDataset:
    """Reads the unpacked archive; `data_dir` contains its folder, or is that folder.

    The archive's `val` images become the test split, because its `test` images have
    no labels. Classes are ordered by WordNet id, images by `splits.mixed_order`.
    """
    root = _find_root(options.data_dir or tfds.default_data_dir(), description)
    classes = sorted(_lines(root / "wnids.txt"))
    return loading.assemble(
        description.name,
        _class_names(root, classes),
        loading.of_files(root, _train_files(root, classes), options),
        loading.of_files(root, _test_files(root, classes), options),
        options,
        notify,
        str(root),
    )


def _find_root(
    data_dir: str, description: catalogue.DatasetDescription
) -> pathlib.Path:
    given = files.expand(data_dir)
    for root in (given / FOLDER, given):
        if os.path.isfile(root / "wnids.txt"):  # `Path.is_file` would raise.
            return root
    raise errors.UsageError(
        f"tiny_imagenet is not in --data_dir {given} (looked for {FOLDER}/wnids.txt "
        f"and wnids.txt there). Download {description.download_url}, unpack it, and "
        "pass the folder that contains it as --data_dir"
    )


def _lines(path: pathlib.Path) -> list[str]:
    """Returns the lines of a text file that are not blank."""
    text = files.read_text(path, _AGAIN)
    return [line.strip() for line in text.splitlines() if line.strip()]


def _class_names(root: pathlib.Path, classes: list[str]) -> list[str]:
    """Returns the words for each class, or its WordNet id if it has none."""
    words = {}
    if (root / "words.txt").is_file():
        words = dict(
            line.split("\t", 1) for line in _lines(root / "words.txt") if "\t" in line
        )
    return [words.get(wnid, wnid) for wnid in classes]


def _train_files(root: pathlib.Path, classes: list[str]) -> dict[str, int]:
    """Returns the label of each training image by its path relative to `root`."""
    labels = {}
    for label, wnid in enumerate(classes):
        folder = root / "train" / wnid / "images"
        names = [path.name for path in folder.glob("*.JPEG")]
        if not names:
            raise errors.UsageError(f"there are no *.JPEG files in {folder}; {_AGAIN}")
        labels.update({f"train/{wnid}/images/{name}": label for name in names})
    return labels


def _test_files(root: pathlib.Path, classes: list[str]) -> dict[str, int]:
    """Returns the label of each `val` image by its path relative to `root`."""
    annotations = root / "val" / "val_annotations.txt"
    indices = {wnid: label for label, wnid in enumerate(classes)}
    try:
        return {
            f"val/images/{name}": indices[wnid]
            for name, wnid, *_ in (line.split("\t") for line in _lines(annotations))
        }
    except (KeyError, ValueError) as error:
        raise errors.unreadable(annotations, error, _AGAIN) from error
