"""The names of all networks and of their pre-trained weights.

Importing this module does not import Keras, so that a command line can check a
name, and list them all, at once.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib

from normtest_tf import errors
from normtest_tf.normalization import IMAGENET, ChannelStatistics

# Written by `python -m experiments.networks --from_timm`.
TIMM_TAGS = pathlib.Path(__file__).with_name("timm_tags.csv")

HALF = ChannelStatistics(
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    definition="fixed",
    source="scaling to [-1, 1]",
)
CAFFE = ChannelStatistics(
    mean=(123.68 / 255, 116.779 / 255, 103.939 / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
    definition="fixed",
    source="Caffe's ImageNet mean; pixels are not scaled",
)
CIFAR10 = ChannelStatistics(
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.247, 0.2435, 0.2616),
    definition="pooled",
    source="all training images of CIFAR10",
)


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """Where pre-trained weights come from, and the inputs they expect.

    Attributes:
        origin: A repository of the Hugging Face Hub (`hf:OWNER/NAME`), a file of
            this package (`package:FILE`), or Keras's own download (`keras`).
        trained_on: The pre-training set.
        statistics: The channel statistics of its inputs, in RGB order.
        channel_order: `rgb` or `bgr`.
        licence: Licence of the weights, as stated at their origin.
        url: Where their makers describe them, or empty.
        input_size: The image side in pre-training, or None where not known.
    """

    origin: str
    trained_on: str
    statistics: ChannelStatistics
    channel_order: str = "rgb"
    licence: str = "apache-2.0"
    url: str = ""
    input_size: int | None = None


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One network.

    Attributes:
        name: Its name on the command line.
        family: `resnet`, ... for our own modules, or `keras_applications`.
        builder: The function that builds it, in `backbones.<family>` or in
            `keras.applications`.
        tags: Its pre-trained weights by tag; the first is the default.
        options: Further arguments of the builder.
        min_size: The smallest image side it accepts.
        head_bias: How the bias of a fresh classifier starts: `uniform`, as PyTorch's
            linear layers do, or `zeros`.
    """

    name: str
    family: str
    builder: str
    tags: dict[str, Pretraining]
    options: dict[str, object] = dataclasses.field(default_factory=dict)
    min_size: int = 32
    head_bias: str = "uniform"

    @property
    def default_tag(self) -> str:
        """The tag that is used where none is named."""
        return next(iter(self.tags))


def _read_timm_tags() -> dict[str, dict[str, Pretraining]]:
    """Returns the weights that timm publishes, by network and by tag."""
    table: dict[str, dict[str, Pretraining]] = {}
    with TIMM_TAGS.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            table.setdefault(row["model"], {})[row["tag"]] = Pretraining(
                origin=f"hf:{row['repository']}",
                trained_on=row["trained_on"],
                statistics=_statistics(row["mean"], row["std"]),
                licence=row["licence"],
                url=row["url"],
                input_size=int(row["input_size"]),
            )
    return table


def _statistics(mean: str, std: str) -> ChannelStatistics:
    """Returns the statistics that are known by these constants.

    Raises:
        ValueError: If nothing is known of where they come from.
    """
    constants = tuple(
        tuple(float(value) for value in text.split()) for text in (mean, std)
    )
    for known in (IMAGENET, HALF):
        if constants == (known.mean, known.std):
            return known
    raise ValueError(f"unknown constants. Received: mean={mean}, std={std}")


_TIMM = _read_timm_tags()


def _timm(name: str, default: str) -> dict[str, Pretraining]:
    """Returns timm's weights of a network, the default first."""
    return {default: _TIMM[name][default], **_TIMM[name]}


# Where the reference study used timm's default of its time, so do we; elsewhere
# the default is timm's own.
_RESNET_DEFAULTS = {
    18: "tv_in1k",
    34: "a1_in1k",
    50: "a1_in1k",
    101: "a1h_in1k",
    152: "a1h_in1k",
}
_DENSENET_DEFAULTS = {
    121: "ra_in1k",
    161: "tv_in1k",
    169: "tv_in1k",
    201: "tv_in1k",
}


def _resnet(depth: int, default: str) -> Architecture:
    """Describes one of timm's ResNets."""
    name = f"resnet{depth}"
    return Architecture(name, "resnet", f"ResNet{depth}", _timm(name, default))


def _densenet(depth: int, default: str) -> Architecture:
    """Describes one of timm's DenseNets."""
    name = f"densenet{depth}"
    return Architecture(
        name,
        "densenet",
        f"DenseNet{depth}",
        _timm(name, default),
        head_bias="zeros",
    )


def _keras(
    name: str,
    builder: str,
    statistics: ChannelStatistics,
    channel_order: str = "rgb",
    options: dict[str, object] | None = None,
    min_size: int = 32,
) -> Architecture:
    """Describes a network of Keras Applications and how its inputs looked."""
    weights = Pretraining(
        origin="keras",
        trained_on="ImageNet-1k",
        statistics=statistics,
        channel_order=channel_order,
    )
    return Architecture(
        name=f"keras_{name}",
        family="keras_applications",
        builder=builder,
        tags={"imagenet": weights},
        options=options or {},
        min_size=min_size,
    )


# These contain their own preprocessing unless told otherwise, and then see every
# setting but `pretrain` normalised twice.
_BARE: dict[str, object] = {"include_preprocessing": False}

_ENTRIES = [
    *(_resnet(depth, tag) for depth, tag in _RESNET_DEFAULTS.items()),
    *(_densenet(depth, tag) for depth, tag in _DENSENET_DEFAULTS.items()),
    Architecture(
        "cifar_resnet8",
        "resnet",
        "CifarResNet8",
        {
            "cifar10": Pretraining(
                origin="package:cifar_resnet8.cifar10.safetensors",
                trained_on="CIFAR10",
                statistics=CIFAR10,
                licence="mit",
            )
        },
        min_size=8,
    ),
    _keras("resnet50", "ResNet50", CAFFE, "bgr"),
    _keras("resnet101", "ResNet101", CAFFE, "bgr"),
    _keras("resnet152", "ResNet152", CAFFE, "bgr"),
    _keras("resnet50v2", "ResNet50V2", HALF),
    _keras("resnet101v2", "ResNet101V2", HALF),
    _keras("resnet152v2", "ResNet152V2", HALF),
    _keras("vgg16", "VGG16", CAFFE, "bgr"),
    _keras("vgg19", "VGG19", CAFFE, "bgr"),
    _keras("densenet121", "DenseNet121", IMAGENET),
    _keras("densenet169", "DenseNet169", IMAGENET),
    _keras("densenet201", "DenseNet201", IMAGENET),
    _keras("mobilenet_025", "MobileNet", HALF, options={"alpha": 0.25}),
    _keras("mobilenet_050", "MobileNet", HALF, options={"alpha": 0.5}),
    _keras("mobilenet", "MobileNet", HALF),
    _keras("mobilenetv2", "MobileNetV2", HALF),
    _keras("mobilenetv3small", "MobileNetV3Small", HALF, options=_BARE),
    _keras("mobilenetv3large", "MobileNetV3Large", HALF, options=_BARE),
    _keras("efficientnetv2b0", "EfficientNetV2B0", IMAGENET, options=_BARE),
    _keras("efficientnetv2b1", "EfficientNetV2B1", IMAGENET, options=_BARE),
    _keras("efficientnetv2b2", "EfficientNetV2B2", IMAGENET, options=_BARE),
    _keras("efficientnetv2b3", "EfficientNetV2B3", IMAGENET, options=_BARE),
    _keras("convnexttiny", "ConvNeXtTiny", IMAGENET, options=_BARE),
    _keras("convnextsmall", "ConvNeXtSmall", IMAGENET, options=_BARE),
    _keras("convnextbase", "ConvNeXtBase", IMAGENET, options=_BARE),
    _keras("nasnetmobile", "NASNetMobile", HALF),
    _keras("xception", "Xception", HALF, min_size=71),
    _keras("inceptionv3", "InceptionV3", HALF, min_size=75),
]

ARCHITECTURES: dict[str, Architecture] = {entry.name: entry for entry in _ENTRIES}


def get(name: str) -> Architecture:
    """Returns the architecture of that name.

    Args:
        name: A key of `ARCHITECTURES`.

    Returns:
        Its description.

    Raises:
        UsageError: If there is none.
    """
    if name not in ARCHITECTURES:
        raise errors.unknown_name("model", name, list(ARCHITECTURES))
    return ARCHITECTURES[name]
