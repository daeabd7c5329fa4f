"""Networks of Keras Applications that can serve as backbones.

Each has the statistics that its own `preprocess_input` applies. Keras downloads their
weights itself.
"""

from __future__ import annotations

from typing import Any

from normtest_tf.backbones.architecture import (
    BY_128,
    CAFFE,
    HALF,
    Architecture,
    Pretraining,
)
from normtest_tf.normalization import IMAGENET, ChannelStatistics


def _networks(
    functions: str,
    statistics: ChannelStatistics,
    *,
    suffix: str = "",
    options: dict[str, Any] | None = None,
    min_size: int = 32,
    first_layer: str | None = None,
) -> list[Architecture]:
    """Describes networks of Keras Applications with the same pre-training inputs."""
    pretraining = Pretraining(
        origin="keras",
        trained_on="ImageNet-1k",
        statistics=statistics,
        channel_order="bgr" if statistics is CAFFE else "rgb",
    )
    return [
        Architecture(
            name=f"keras_{function.lower()}{suffix}",
            builder=f"keras.applications:{function}",
            tags={"imagenet": pretraining},
            options=options or {},
            min_size=min_size,
            first_layer=first_layer,
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
_CONVNEXTS = "ConvNeXtTiny ConvNeXtSmall ConvNeXtBase ConvNeXtLarge ConvNeXtXLarge"

NETWORKS = (
    *_networks("ResNet50 ResNet101 ResNet152", CAFFE),
    *_networks("ResNet50V2 ResNet101V2 ResNet152V2", HALF),
    *_networks("VGG16 VGG19", CAFFE),
    *_networks("DenseNet121 DenseNet169 DenseNet201", IMAGENET),
    *_networks("MobileNet", HALF, suffix="_025", options={"alpha": 0.25}),
    *_networks("MobileNet", HALF, suffix="_050", options={"alpha": 0.5}),
    *_networks("MobileNet MobileNetV2", HALF),
    *_networks("MobileNetV3Small MobileNetV3Large", HALF, options=_BARE),
    *_networks(_B0_TO_B7, IMAGENET, first_layer=_STEM),
    *_networks(_V2B0_TO_V2B3, IMAGENET, options=_BARE),
    *_networks(_V2_LARGE, BY_128, options=_BARE),
    *_networks(_CONVNEXTS, IMAGENET, options=_BARE),
    *_networks("NASNetMobile NASNetLarge", HALF),
    *_networks("Xception", HALF, min_size=71),
    *_networks("InceptionV3 InceptionResNetV2", HALF, min_size=75),
)
