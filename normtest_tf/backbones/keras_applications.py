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


def _network(
    name: str,
    function: str,
    statistics: ChannelStatistics,
    *,
    options: dict[str, Any] | None = None,
    min_size: int = 32,
    first_layer: str | None = None,
) -> Architecture:
    """Describes a network of Keras Applications and its pre-training inputs."""
    pretraining = Pretraining(
        origin="keras",
        trained_on="ImageNet-1k",
        statistics=statistics,
        channel_order="bgr" if statistics is CAFFE else "rgb",
    )
    return Architecture(
        name=f"keras_{name}",
        builder=f"keras.applications:{function}",
        tags={"imagenet": pretraining},
        options=options or {},
        min_size=min_size,
        first_layer=first_layer,
    )


# By default these networks preprocess their inputs themselves; with a setting in front,
# every input would be normalised twice.
_BARE = {"include_preprocessing": False}
# The first EfficientNets have no such option. Their layers compute, with the constants
# in Keras's weights, (x / 255 - mean) / sqrt(std) / sqrt(std): ImageNet's mean and std
# (see tensorflow/tensorflow#49930). This is the layer behind them.
_STEM = "stem_conv_pad"

NETWORKS = (
    _network("resnet50", "ResNet50", CAFFE),
    _network("resnet101", "ResNet101", CAFFE),
    _network("resnet152", "ResNet152", CAFFE),
    _network("resnet50v2", "ResNet50V2", HALF),
    _network("resnet101v2", "ResNet101V2", HALF),
    _network("resnet152v2", "ResNet152V2", HALF),
    _network("vgg16", "VGG16", CAFFE),
    _network("vgg19", "VGG19", CAFFE),
    _network("densenet121", "DenseNet121", IMAGENET),
    _network("densenet169", "DenseNet169", IMAGENET),
    _network("densenet201", "DenseNet201", IMAGENET),
    _network("mobilenet_025", "MobileNet", HALF, options={"alpha": 0.25}),
    _network("mobilenet_050", "MobileNet", HALF, options={"alpha": 0.5}),
    _network("mobilenet", "MobileNet", HALF),
    _network("mobilenetv2", "MobileNetV2", HALF),
    _network("mobilenetv3small", "MobileNetV3Small", HALF, options=_BARE),
    _network("mobilenetv3large", "MobileNetV3Large", HALF, options=_BARE),
    _network("efficientnetb0", "EfficientNetB0", IMAGENET, first_layer=_STEM),
    _network("efficientnetb1", "EfficientNetB1", IMAGENET, first_layer=_STEM),
    _network("efficientnetb2", "EfficientNetB2", IMAGENET, first_layer=_STEM),
    _network("efficientnetb3", "EfficientNetB3", IMAGENET, first_layer=_STEM),
    _network("efficientnetb4", "EfficientNetB4", IMAGENET, first_layer=_STEM),
    _network("efficientnetb5", "EfficientNetB5", IMAGENET, first_layer=_STEM),
    _network("efficientnetb6", "EfficientNetB6", IMAGENET, first_layer=_STEM),
    _network("efficientnetb7", "EfficientNetB7", IMAGENET, first_layer=_STEM),
    _network("efficientnetv2b0", "EfficientNetV2B0", IMAGENET, options=_BARE),
    _network("efficientnetv2b1", "EfficientNetV2B1", IMAGENET, options=_BARE),
    _network("efficientnetv2b2", "EfficientNetV2B2", IMAGENET, options=_BARE),
    _network("efficientnetv2b3", "EfficientNetV2B3", IMAGENET, options=_BARE),
    _network("efficientnetv2s", "EfficientNetV2S", BY_128, options=_BARE),
    _network("efficientnetv2m", "EfficientNetV2M", BY_128, options=_BARE),
    _network("efficientnetv2l", "EfficientNetV2L", BY_128, options=_BARE),
    _network("convnexttiny", "ConvNeXtTiny", IMAGENET, options=_BARE),
    _network("convnextsmall", "ConvNeXtSmall", IMAGENET, options=_BARE),
    _network("convnextbase", "ConvNeXtBase", IMAGENET, options=_BARE),
    _network("convnextlarge", "ConvNeXtLarge", IMAGENET, options=_BARE),
    _network("convnextxlarge", "ConvNeXtXLarge", IMAGENET, options=_BARE),
    _network("nasnetmobile", "NASNetMobile", HALF),
    _network("nasnetlarge", "NASNetLarge", HALF),
    _network("xception", "Xception", HALF, min_size=71),
    _network("inceptionv3", "InceptionV3", HALF, min_size=75),
    _network("inceptionresnetv2", "InceptionResNetV2", HALF, min_size=75),
)
