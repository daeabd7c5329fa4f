"""A classifier with seeded weights, and its export with `--format=timm`."""

from __future__ import annotations

import pathlib

import keras
import numpy as np

from experiments.support.parity import cases
from normtest_tf import backbones
from normtest_tf.backbones import weights
from normtest_tf.export import writers
from normtest_tf.normalization import ChannelStatistics, normalization_layer
from normtest_tf.training import classifier

SHAPE = (32, 32, 3)
# Keras rounds a layer's constants to float32. In units of a pixel, these are whole.
STATISTICS = ChannelStatistics(
    mean=(0.4, 0.6, 0.2),  # 102, 153 and 51
    std=(0.2, 60 / 255, 1 / 3),  # 51, 60 and 85
    definition="fixed",
    source="the comparison with PyTorch",
)


def images() -> np.ndarray:
    """Returns raw images, uint8 `[n, 32, 32, 3]`."""
    return cases.raw_images()[0]


def build(name: str) -> keras.Model:
    """Builds the classifier of a network."""
    model = classifier.build_classifier(
        backbones.resolve(name, "none"),
        normalization_layer(STATISTICS, SHAPE),
        classifier.Task(SHAPE, cases.CLASSES),
        seed=0,
    )
    variables = weights.variables_by_tensor(model.get_layer(name))
    head = model.get_layer("head")
    variables |= {"head.weight": head.kernel, "head.bias": head.bias}
    shapes = {k: weights.to_pytorch(np.array(v)).shape for k, v in variables.items()}
    for key, value in cases.tensors(shapes).items():
        variables[key].assign(weights.from_pytorch(value))
    return model


def in_current_precision(name: str, model: keras.Model) -> keras.Model:
    """Returns a copy of `build(name)` that computes in Keras's float type throughout.

    The network is built anew: a clone would keep the dtype of its inputs.
    """
    _, normalization, _, head = model.layers
    network = backbones.get(name).build(
        weights=None, include_top=False, input_shape=SHAPE, pooling="avg"
    )
    parts = (_rebuilt(normalization), network, _rebuilt(head))
    copy = keras.Sequential([keras.Input(SHAPE, dtype="uint8"), *parts])
    copy.set_weights(model.get_weights())
    return copy


def _rebuilt(layer: keras.layers.Layer) -> keras.layers.Layer:
    config = layer.get_config() | {"dtype": keras.config.floatx()}
    return type(layer).from_config(config)


def write(name: str, folder: pathlib.Path) -> None:
    """Writes the classifier of a network as a folder for timm."""
    description = {
        "output": "logits",
        "class_names": list(map(str, range(cases.CLASSES))),
        "image": {"shape": SHAPE, "resize": "squash"},
        "normalization": "finetune",
        "statistics": {"mean": STATISTICS.mean, "std": STATISTICS.std},
        "written_by": "experiments.parity",
        "pretraining": {},
        "run": {
            **dict.fromkeys(("dataset", "weights", "train"), "none"),
            **dict.fromkeys(("epochs", "kept_epoch", "seed", "test_accuracy"), 0),
            **dict.fromkeys(("train_images", "test_images"), 1),
            "model": name,
        },
    }
    exported = writers.build(build(name), "logits")
    writers.write(exported, folder, "timm", description)
