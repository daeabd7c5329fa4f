"""What `--dataset` means: a described set, or a kind and a location."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Any

from normtest_tf import errors, normalization
from normtest_tf.system import files


@dataclasses.dataclass(frozen=True)
class DatasetDescription:
    """The facts about one data set.

    Attributes:
        name: Its key in `DATASETS`, and its name in TFDS where TFDS has it.
        num_classes: Number of classes.
        image_size: Height and width of every image, in pixels.
        train_examples: Number of training images.
        test_examples: Number of test images.
        published_statistics: The constants that the PyTorch study normalised with,
            or None if it did not use the data set.
        source: Its authors and where they publish it.
    """

    name: str
    num_classes: int
    image_size: int
    train_examples: int
    test_examples: int
    published_statistics: normalization.ChannelStatistics | None
    source: str


def _described(
    name: str,
    sizes: tuple[int, int, int, int],  # Classes, side, training and test images.
    published: tuple[Any, Any] | None,  # Mean and standard deviation.
    source: str,
) -> DatasetDescription:
    statistics = published and normalization.ChannelStatistics(
        *published, "pooled", "the constants of the reference PyTorch study"
    )
    return DatasetDescription(name, *sizes, statistics, source)


_ALL = (
    _described(
        "cifar10",
        (10, 32, 50_000, 10_000),
        ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
        "Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    _described(
        "cifar100",
        (100, 32, 50_000, 10_000),
        ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
        "Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    _described(
        "svhn_cropped",
        (10, 32, 73_257, 26_032),
        ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
        "Netzer et al. 2011, http://ufldl.stanford.edu/housenumbers/",
    ),
    _described(
        "tiny_imagenet",
        (200, 64, 100_000, 10_000),
        ((0.4802, 0.4481, 0.3975), (0.2764, 0.2689, 0.2816)),
        "Le and Yang 2015, http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    ),
    _described(
        "digits",
        (10, 32, 1297, 500),
        None,
        "Alpaydin and Kaynak 1998, https://doi.org/10.24432/C50P49, in scikit-learn",
    ),
)
DATASETS: dict[str, DatasetDescription] = {entry.name: entry for entry in _ALL}

FOLDER, CSV, TFDS = "folder", "csv", "tfds"
PATTERNS = [f"{FOLDER}:PATH", f"{CSV}:PATH", f"{TFDS}:NAME"]
_ADVICE = {
    FOLDER: "Write folder:PATH, where PATH contains train/CLASS/ and test/CLASS/, or "
    "CLASS/ alone",
    CSV: "Write csv:PATH, where PATH is a file of lines file,label or file,label,split",
    TFDS: "Write tfds:NAME or tfds:NAME/CONFIG, a data set of TensorFlow Datasets",
}
# NAME, NAME/CONFIG, and perhaps :VERSION.
_TFDS_NAME = re.compile(r"[A-Za-z_]\w*(/[\w.+-]+)?(:\d+\.\d+\.\d+)?")


def parse(name: str) -> tuple[str, str]:
    """Splits `folder:PATH` into `folder` and PATH; described sets have the kind ""."""
    kind, colon, location = name.partition(":")
    if not colon or kind not in _ADVICE:
        if name not in DATASETS:
            raise errors.unknown_name("data set", name, [*DATASETS, *PATTERNS])
        return "", name
    is_usable = _TFDS_NAME.fullmatch(location) if kind == TFDS else location.strip()
    if not is_usable:
        what = "name of TensorFlow Datasets" if kind == TFDS else "path"
        raise errors.UsageError(f"data set {name!r} has no {what}. {_ADVICE[kind]}")
    return kind, location


def slug(name: str) -> str:
    """Returns a data set's name as it appears in result paths.

    Args:
        name: A key of `DATASETS`, which is returned unchanged; `folder:PATH` or
            `csv:PATH`, which become the kind and the last component of the path; or
            `tfds:NAME/CONFIG`, which becomes `tfds-NAME-CONFIG`.

    Raises:
        UsageError: If the name is unknown.
    """
    kind, location = parse(name)
    if not kind:
        return name
    if kind == TFDS:
        return f"{kind}-" + re.sub(r"[^\w.-]+", "-", location)
    # `Path.resolve` would raise for a link that leads to itself.
    last = os.path.basename(os.path.realpath(files.expand(location))) or "root"
    if kind == CSV:
        last = last.removesuffix(".csv")
    return f"{kind}-" + re.sub(r"[^\w.-]+", "_", last)
