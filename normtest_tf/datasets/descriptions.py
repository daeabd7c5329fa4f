"""What is known about every data set before any file is read."""

from __future__ import annotations

import dataclasses

from normtest_tf import normalization

DIGIT_NAMES = tuple("0123456789")
CIFAR10_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
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
