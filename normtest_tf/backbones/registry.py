"""All networks and their pre-trained weights, by name: what `--model` can say.

Nothing here imports Keras, so names and tags can be checked and listed at once.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
import pkgutil
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from normtest_tf import errors
from normtest_tf.normalization import IMAGENET, ChannelStatistics
from normtest_tf.system import keras_setup

if TYPE_CHECKING:
    import keras

# Written by `python -m experiments.networks --from_timm`.
TIMM_TAGS = pathlib.Path(__file__).with_name("timm_tags.csv")
SUFFIX = ".keras"  # Of a file with a network of the user's own.
_ADVICE = (
    "See `python -m experiments.train --list_models` for all models, or name a file: "
    "PATH.keras"
)

HALF = ChannelStatistics((0.5,) * 3, (0.5,) * 3, "fixed", "scaling to [-1, 1]")
BY_128 = ChannelStatistics(
    (128 / 255,) * 3,
    (128 / 255,) * 3,
    definition="fixed",
    source="division of pixels from 0 to 255 by 128, minus 1",
)
CAFFE = ChannelStatistics(
    (123.68 / 255, 116.779 / 255, 103.939 / 255),
    (1 / 255,) * 3,
    definition="fixed",
    source="Caffe's ImageNet mean; pixels are not scaled",
)
CIFAR10 = ChannelStatistics(
    (0.4914, 0.4822, 0.4465),
    (0.247, 0.2435, 0.2616),
    definition="pooled",
    source="all training images of CIFAR10",
)


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """Where pre-trained weights come from, and the inputs they expect."""

    # A repository of the Hugging Face Hub (`hf:OWNER/NAME`), a file of this package
    # (`package:FILE`), or Keras's own download (`keras`).
    origin: str
    trained_on: str  # The pre-training set.
    statistics: ChannelStatistics  # Of its inputs, in RGB order.
    channel_order: str = "rgb"  # Or `bgr`.
    licence: str = "apache-2.0"  # Of the weights, as stated at their origin.
    url: str = ""  # Where their authors describe them, or empty.
    input_size: int | None = None  # The image side in pre-training, if known.


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One network."""

    name: str  # On the command line.
    builder: str  # The function that builds it, `module:function`; imported to build.
    tags: dict[str, Pretraining]  # Its pre-trained weights; the first is the default.
    # Arguments that `build` always passes to the function.
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    min_size: int = 32  # The smallest image side it accepts, in pixels.
    # How a new classifier's bias starts: `uniform`, as in PyTorch's layers, or `zeros`.
    head_bias: str = "uniform"
    # The layer that takes normalised images, if the function puts its own preprocessing
    # in front of it, which `build` cuts off.
    first_layer: str | None = None
    file: pathlib.Path | None = None  # The `.keras` file that it is in, if any.
    classifier: str = "fc"  # PyTorch's name of the classifier of our own networks.

    @property
    def is_own(self) -> bool:
        """Whether this package defines the network, rather than Keras Applications."""
        return not self.builder.startswith("keras.")

    @property
    def is_timms(self) -> bool:
        """Whether timm has the same network under the same name."""
        return any(tag.origin.startswith("hf:timm/") for tag in self.tags.values())

    @property
    def default_tag(self) -> str:
        """The tag that is used unless another is requested."""
        return next(iter(self.tags))

    def check_size(self, input_shape: tuple[int | None, ...]) -> None:
        """Raises `UsageError` if images are too small for the network."""
        if any(side is not None and side < self.min_size for side in input_shape[:2]):
            raise errors.UsageError(
                f"{self.name} needs images of at least {self.min_size} pixels a side. "
                f"Received: {input_shape[0]}x{input_shape[1]}; pass a larger "
                "--image_size, or choose another --model"
            )

    def load_builder(self) -> Callable[..., keras.Model]:
        """Imports the function that builds the network."""
        return pkgutil.resolve_name(self.builder)

    @keras_setup.checked(dtypes=False)
    def build(self, **arguments: Any) -> keras.Model:  # noqa: ANN401  (passed on)
        """Builds the network.

        Args:
            **arguments: Those of Keras Applications' functions; see
                `backbones.ResNet18`, also for what is raised.

        Returns:
            A model that maps float images `[n, height, width, 3]`, normalised as in
            pre-training, to class scores, features or a feature map.

        Example:
            ```python
            model = backbones.get("resnet18").build(weights=None, classes=10)
            ```
        """
        model = self.load_builder()(**self.options, **arguments)
        if self.first_layer is None:
            return model
        import keras

        inputs = model.get_layer(self.first_layer).input
        return keras.Model(inputs, model.output, name=model.name)


def _timm_tags() -> dict[str, dict[str, Pretraining]]:
    """Returns the weights that timm publishes, by network and by tag."""
    known: dict[tuple[float, ...], ChannelStatistics] = {
        one.mean + one.std: one for one in (IMAGENET, HALF)
    }
    table: dict[str, dict[str, Pretraining]] = {}
    with TIMM_TAGS.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            constants = tuple(map(float, f"{row['mean']} {row['std']}".split()))
            table.setdefault(row["model"], {})[row["tag"]] = Pretraining(
                origin=f"hf:{row['repository']}",
                trained_on=row["trained_on"],
                statistics=known[constants],
                licence=row["licence"],
                url=row["url"],
                input_size=int(row["input_size"]),
            )
    return table


_TIMM = _timm_tags()


def _of_timm(function: str, default: str, **options: Any) -> Architecture:  # noqa: ANN401  (fields)
    """Describes one of timm's networks, with the default tag first."""
    name = function.lower()
    module = "densenet" if name.startswith("densenet") else "resnet"
    builder = f"normtest_tf.backbones.{module}:{function}"
    tags = {default: _TIMM[name][default], **_TIMM[name]}
    return Architecture(name, builder, tags, **options)


def _of_cifar10(function: str, name: str) -> Architecture:
    """Describes one of the networks that come with weights."""
    pretraining = Pretraining(
        origin=f"package:{name}.cifar10.safetensors",
        trained_on="CIFAR10",
        statistics=CIFAR10,
        licence="mit",
    )
    builder = f"normtest_tf.backbones.resnet:{function}"
    return Architecture(name, builder, {"cifar10": pretraining}, min_size=8)


_DENSE: dict[str, Any] = {"head_bias": "zeros", "classifier": "classifier"}
# The PyTorch study's networks keep the timm defaults of its time; the others use timm's
# current defaults.
_OWN = (
    _of_timm("ResNet18", "tv_in1k"),
    _of_timm("ResNet34", "a1_in1k"),
    _of_timm("ResNet50", "a1_in1k"),
    _of_timm("ResNet101", "a1h_in1k"),
    _of_timm("ResNet152", "a1h_in1k"),
    _of_timm("DenseNet121", "ra_in1k", **_DENSE),
    _of_timm("DenseNet161", "tv_in1k", **_DENSE),
    _of_timm("DenseNet169", "tv_in1k", **_DENSE),
    _of_timm("DenseNet201", "tv_in1k", **_DENSE),
    _of_cifar10("CifarResNet8", "cifar_resnet8"),
    _of_cifar10("CifarResNet8GN", "cifar_resnet8_gn"),
)


def _of_keras(
    functions: str,
    statistics: ChannelStatistics,
    licence: str = "apache-2.0",
    trained_on: str = "ImageNet-1k",
    *,
    suffix: str = "",
    **options: Any,  # noqa: ANN401  (fields)
) -> list[Architecture]:
    """Describes networks of Keras Applications with the same pre-training inputs."""
    order = "bgr" if statistics is CAFFE else "rgb"
    pretraining = Pretraining("keras", trained_on, statistics, order, licence)
    return [
        Architecture(
            f"keras_{function.lower()}{suffix}",
            f"keras.applications:{function}",
            {"imagenet": pretraining},
            **options,
        )
        for function in functions.split()
    ]


# By default these networks preprocess their inputs themselves; with a setting in front,
# every input would be normalised twice.
_BARE = {"include_preprocessing": False}
# The first EfficientNets have no such option. Their layers compute, with the constants
# in Keras's weights, (x / 255 - mean) / sqrt(std) / sqrt(std): ImageNet's mean and std
# (see tensorflow/tensorflow#49930). This is the layer behind them.
_STEM = "stem_conv_pad"
_B0_TO_B7 = " ".join(f"EfficientNetB{number}" for number in range(8))
_V2B0_TO_V2B3 = " ".join(f"EfficientNetV2B{number}" for number in range(4))
_V2_LARGE = "EfficientNetV2S EfficientNetV2M EfficientNetV2L"
_CONVNEXT_LARGE = "ConvNeXtBase ConvNeXtLarge ConvNeXtXLarge"
_21K = "ImageNet-21k, then ImageNet-1k"
# Each has the statistics that its own `preprocess_input` applies, and the licence that
# Keras has named, or that of the repository which the weights were taken from.
_KERAS = (
    *_of_keras("ResNet50 ResNet101 ResNet152", CAFFE, "mit"),
    *_of_keras("ResNet50V2 ResNet101V2 ResNet152V2", HALF, "bsd-3-clause"),
    *_of_keras("VGG16 VGG19", CAFFE, "cc-by-4.0"),
    *_of_keras("DenseNet121 DenseNet169 DenseNet201", IMAGENET, "bsd-3-clause"),
    *_of_keras("MobileNet", HALF, suffix="_025", options={"alpha": 0.25}),
    *_of_keras("MobileNet", HALF, suffix="_050", options={"alpha": 0.5}),
    *_of_keras("MobileNet MobileNetV2", HALF),
    *_of_keras("MobileNetV2", HALF, suffix="_035", options={"alpha": 0.35}),
    *_of_keras("MobileNetV3Small MobileNetV3Large", HALF, options=_BARE),
    *_of_keras(_B0_TO_B7, IMAGENET, first_layer=_STEM),
    *_of_keras(_V2B0_TO_V2B3, IMAGENET, options=_BARE),
    *_of_keras(_V2_LARGE, BY_128, options=_BARE),
    *_of_keras("ConvNeXtTiny ConvNeXtSmall", IMAGENET, "mit", options=_BARE),
    *_of_keras(_CONVNEXT_LARGE, IMAGENET, "mit", _21K, options=_BARE),
    *_of_keras("NASNetMobile NASNetLarge", HALF),
    *_of_keras("Xception", HALF, "mit", min_size=71),
    *_of_keras("InceptionV3 InceptionResNetV2", HALF, min_size=75),
)

ARCHITECTURES: dict[str, Architecture] = {
    entry.name: entry for entry in (*_OWN, *_KERAS)
}


def get(name: str) -> Architecture:
    """Looks up a network.

    Args:
        name: A key of `ARCHITECTURES`.

    Returns:
        Its description, which also builds it.

    Raises:
        UsageError: If there is no network of that name.
    """
    if name not in ARCHITECTURES:
        raise errors.unknown_name("model", name, list(ARCHITECTURES), _ADVICE)
    return ARCHITECTURES[name]


def names_file(model: str) -> bool:
    """Tells whether `--model` names a file rather than a network of the registry."""
    return model.lower().endswith(SUFFIX)


def slug(model: str) -> str:
    """Returns a model's name in result paths: its own, or `file-` and the stem."""
    if not names_file(model):
        return model
    stem = re.split(r"[/\\]", model)[-1][: -len(SUFFIX)]
    return "file-" + re.sub(r"[^\w.-]+", "_", stem)
