"""Tiny ImageNet, from the files of its published archive."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import assembly, decoding, descriptions, division
from normtest_tf.datasets.image_dataset import ImageDataset
from normtest_tf.datasets.options import ReadingOptions
from normtest_tf.datasets.sources import tfds_builders
from normtest_tf.system import files
from normtest_tf.text import Notify, ignore

FOLDER = "tiny-imagenet-200"


def load(
    description: descriptions.DatasetDescription,
    options: ReadingOptions,
    notify: Notify = ignore,
) -> ImageDataset:
    """Reads the unpacked archive.

    The archive's `val` images become the test split, because its `test` images have
    no labels. Classes are ordered by WordNet id, images by `division.mixed_order`.

    Args:
        description: The entry `tiny_imagenet` of the registry.
        options: `data_dir` is the folder that contains tiny-imagenet-200/, or that
            folder itself; None for TFDS's default directory.
        notify: Called with notes on the images.

    Returns:
        The data set, 64x64 pixels unless another size is asked for.

    Raises:
        UsageError: If a file is missing or unusable.
    """
    data_dir = options.data_dir or tfds_builders.default_data_dir()
    root = _find_root(data_dir, description)
    classes = sorted(_lines(root / "wnids.txt"))
    size = description.image_size
    return assembly.assemble(
        description.name,
        _class_names(root, classes),
        _examples(root, _train_files(root, classes), size, options),
        _examples(root, _test_files(root, classes), size, options),
        options,
        notify,
        place=str(root),
    )


def _find_root(
    data_dir: str, description: descriptions.DatasetDescription
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
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UsageError(
            f"tiny_imagenet: {path} can't be read ({errors.one_line(error)}). "
            "Unpack the archive again"
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _class_names(root: pathlib.Path, classes: list[str]) -> tuple[str, ...]:
    """Returns the words for each class, or its WordNet id if it has none."""
    words = {}
    if (root / "words.txt").is_file():
        words = dict(
            line.split("\t", 1) for line in _lines(root / "words.txt") if "\t" in line
        )
    return tuple(words.get(wnid, wnid) for wnid in classes)


def _train_files(root: pathlib.Path, classes: list[str]) -> dict[str, int]:
    """Returns the label of each training image by its path relative to `root`."""
    labels = {}
    for label, wnid in enumerate(classes):
        folder = root / "train" / wnid / "images"
        names = sorted(path.name for path in folder.glob("*.JPEG"))
        if not names:
            raise errors.UsageError(
                f"tiny_imagenet: there are no *.JPEG files in {folder}. "
                "Unpack the archive again"
            )
        labels.update({f"train/{wnid}/images/{name}": label for name in names})
    return labels


def _test_files(root: pathlib.Path, classes: list[str]) -> dict[str, int]:
    """Returns the label of each `val` image by its path relative to `root`."""
    annotations = root / "val" / "val_annotations.txt"
    indices = {wnid: label for label, wnid in enumerate(classes)}
    labels = {}
    for line in _lines(annotations):
        name, wnid = [*line.split("\t"), "", ""][:2]
        if wnid not in indices:
            raise errors.UsageError(
                f"{annotations} has a line whose class is not in wnids.txt: {line!r}. "
                "Unpack the archive again"
            )
        labels[f"val/images/{name}"] = indices[wnid]
    _check_annotations(root, labels, annotations)
    return labels


def _check_annotations(
    root: pathlib.Path, labels: dict[str, int], annotations: pathlib.Path
) -> None:
    """Checks that the annotations name exactly the images that exist."""
    present = {
        f"val/images/{path.name}" for path in (root / "val" / "images").glob("*.JPEG")
    }
    if not present:
        what = f"there are no *.JPEG files in {root / 'val' / 'images'}"
    elif missing := sorted(labels.keys() - present):
        what = f"{root / missing[0]} is missing, which {annotations} lists"
    elif unknown := sorted(present - labels.keys()):
        what = f"{root / unknown[0]} has no label in {annotations}"
    else:
        return
    raise errors.UsageError(f"tiny_imagenet: {what}. Unpack the archive again")


def _examples(
    root: pathlib.Path, labels: dict[str, int], size: int, options: ReadingOptions
) -> assembly.Examples:
    """Returns the images of one split, in mixed order.

    Args:
        root: The archive's folder.
        labels: The label of each image by its path relative to `root`.
        size: Height and width that every file must have, in pixels.
        options: How to read it.
    """
    names = list(labels)
    names = [names[index] for index in division.mixed_order(names)]

    def decode(index: int) -> np.ndarray:
        path = root / names[index]
        image = decoding.decode_file(path)
        if image.shape != (size, size, 3):
            raise errors.UsageError(
                f"tiny_imagenet: {path} is {image.shape[1]}x{image.shape[0]}, "
                f"not {size}x{size}. Unpack the archive again"
            )
        return decoding.resized(image, options.image_size or size)

    return assembly.Examples(
        names, np.array([labels[name] for name in names], np.int32), decode
    )
