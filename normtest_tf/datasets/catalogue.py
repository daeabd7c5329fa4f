"""What `--dataset` means: a described set, or a kind and a location."""

from __future__ import annotations

import dataclasses
import os
import re

from normtest_tf import errors, normalization
from normtest_tf.system import files

DIGIT_NAMES = tuple("0123456789")
_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
CIFAR10_NAMES = tuple(_CIFAR10.split())
_CIFAR100 = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy
    bridge bus butterfly camel can castle caterpillar cattle chair chimpanzee
    clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
    leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
    oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
    poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew
    skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper
    table tank telephone television tiger tractor train trout tulip turtle wardrobe
    whale willow_tree wolf woman worm
"""
CIFAR100_NAMES = tuple(_CIFAR100.split())


@dataclasses.dataclass(frozen=True)
class DatasetDescription:
    """The facts about one data set.

    Attributes:
        name: Its key in `DATASETS`, and its name in TFDS where TFDS has it.
        loader: What reads it: `tfds`, `tiny_imagenet` or `digits`.
        num_classes: Number of classes.
        image_size: Height and width of every image, in pixels.
        train_examples: Number of training images.
        test_examples: Number of test images.
        class_names: One name per class; empty if they come with the archive.
        published_statistics: The constants that the PyTorch study normalised with,
            or None if it did not use the data set.
        source: Its authors and where they publish it.
        download_url: The first file of its download, or None if it needs none.
    """

    name: str
    loader: str
    num_classes: int
    image_size: int
    train_examples: int
    test_examples: int
    class_names: tuple[str, ...]
    published_statistics: normalization.ChannelStatistics | None
    source: str
    download_url: str | None


def _published(
    mean: tuple[float, float, float], std: tuple[float, float, float]
) -> normalization.ChannelStatistics:
    return normalization.ChannelStatistics(
        mean, std, "pooled", "the constants of the reference PyTorch study"
    )


_ALL = (
    DatasetDescription(
        name="cifar10",
        loader="tfds",
        num_classes=10,
        image_size=32,
        train_examples=50_000,
        test_examples=10_000,
        class_names=CIFAR10_NAMES,
        published_statistics=_published(
            (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
        ),
        source="Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
        download_url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    ),
    DatasetDescription(
        name="cifar100",
        loader="tfds",
        num_classes=100,
        image_size=32,
        train_examples=50_000,
        test_examples=10_000,
        class_names=CIFAR100_NAMES,
        published_statistics=_published(
            (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
        ),
        source="Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
        download_url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    ),
    DatasetDescription(
        name="svhn_cropped",
        loader="tfds",
        num_classes=10,
        image_size=32,
        train_examples=73_257,
        test_examples=26_032,
        class_names=DIGIT_NAMES,
        published_statistics=_published(
            (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)
        ),
        source="Netzer et al. 2011, http://ufldl.stanford.edu/housenumbers/",
        download_url="http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
    ),
    DatasetDescription(
        name="tiny_imagenet",
        loader="tiny_imagenet",
        num_classes=200,
        image_size=64,
        train_examples=100_000,
        test_examples=10_000,
        class_names=(),
        published_statistics=_published(
            (0.4802, 0.4481, 0.3975), (0.2764, 0.2689, 0.2816)
        ),
        source="Le and Yang 2015, http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        download_url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    ),
    DatasetDescription(
        name="digits",
        loader="digits",
        num_classes=10,
        image_size=32,
        train_examples=1297,
        test_examples=500,
        class_names=DIGIT_NAMES,
        published_statistics=None,
        source="Alpaydin and Kaynak 1998, https://doi.org/10.24432/C50P49, "
        "in scikit-learn",
        download_url=None,
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
    """Splits a data set's name, such as `folder:PATH`, into its kind and its location.

    The kind of a key of `DATASETS` is "", and its location the name itself.
    """
    kind, colon, location = name.partition(":")
    if not colon or kind not in _ADVICE:
        if name not in DATASETS:
            raise errors.unknown_name("data set", name, [*DATASETS, *PATTERNS])
        return "", name
    if not location.strip():
        what = "name" if kind == TFDS else "path"
        raise errors.UsageError(f"data set {name!r} has no {what}. {_ADVICE[kind]}")
    if kind == TFDS and not _TFDS_NAME.fullmatch(location):
        raise errors.UsageError(
            f"data set {name!r} is no name of TensorFlow Datasets. {_ADVICE[kind]}"
        )
    return kind, location


def slug(name: str) -> str:
    """Returns a data set's name as it appears in result paths.

    Args:
        name: A key of `DATASETS`, which is returned unchanged; `folder:PATH` or
            `csv:PATH`, which become the kind and the last component of the path; or
            `tfds:NAME/CONFIG`, which becomes `tfds-NAME-CONFIG`.

    Returns:
        A name without path separators or white space.

    Raises:
        UsageError: If the name is unknown.

    Example:
    ```python
    assert datasets.slug("folder:/data/my flowers") == "folder-my_flowers"
    assert datasets.slug("tfds:eurosat/rgb") == "tfds-eurosat-rgb"
    ```
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


def check(name: str) -> None:
    """Raises `UsageError` if a name is none of a data set; reads no file."""
    parse(name)
