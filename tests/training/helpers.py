"""Small models and images to train them on."""

import keras
import numpy as np

from normtest_tf import backbones
from normtest_tf.normalization import IMAGENET, normalization_layer
from normtest_tf.training import classifier, pipeline

TASK = classifier.Task(image_shape=(32, 32, 3), num_classes=4)
SPLIT = pipeline.Split(
    np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8),
    np.arange(20) % 4,
)


def linear_model():
    return keras.Sequential(
        [
            keras.Input((32, 32, 3), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
        ]
    )


def small_classifier(
    statistics=IMAGENET, weights="none", model="cifar_resnet8", seed=3, **options
):
    network = backbones.resolve(model, weights)
    layer = normalization_layer(statistics, TASK.image_shape)
    return classifier.build_classifier(network, layer, TASK, seed=seed, **options)
