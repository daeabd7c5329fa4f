"""A small classifier of every kind, and the folder of its run."""

import functools
import json

import numpy as np
import pytest

from normtest_tf import backbones
from normtest_tf.export import FORMATS, metadata
from normtest_tf.export.formats import OUTPUTS
from normtest_tf.normalization import ChannelStatistics, normalization_layer
from normtest_tf.runs import RunFolder
from normtest_tf.training import classifier
from tests.helpers.records import ENVIRONMENT

SHAPE = (16, 24, 3)  # Not square, so that swapped sides show.
# Channels that differ, so that a wrong order shows.
STATISTICS = ChannelStatistics((0.2, 0.5, 0.8), (0.1, 0.2, 0.3), "pooled", "a test")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
NAMES = ["apple", "bee", "cat", "dög"]
FORMAT_NAMES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            bool(entry.missing()),
            reason=f"needs {', '.join(entry.missing())} to write or run it",
        ),
    )
    for name, entry in FORMATS.items()
    if entry.outputs == OUTPUTS  # The others, which can express less, apart.
]


def build(normalization, precision="float32", shape=SHAPE, classes=4):
    """Builds a classifier whose weights are always the same."""
    return classifier.build_classifier(
        backbones.resolve("cifar_resnet8", "cifar10"),
        normalization,
        classifier.Task(shape, classes),
        seed=5,
        precision=precision,
        notify=lambda sentence: None,  # The weights' own head is left out.
    )


@functools.cache
def small_model(precision="float32"):
    """Returns one classifier for all tests, which must not change it."""
    return build(normalization_layer(STATISTICS, SHAPE), precision)


def outputs(model, images=IMAGES):
    return np.array(model(images, training=False))


def description(output="logits", precision="float32"):
    """Returns the parts of an export's metadata that its writers use."""
    return {
        "format": metadata.METADATA_FORMAT,
        "output": output,
        "class_names": NAMES,
        "statistics": {"mean": [0.1, 0.2, 0.3]},
        "run": {"precision": precision},
    }


def export_path(folder, stem, format_name):
    return folder / (stem + FORMATS[format_name].suffix)


def assert_close(received, target):
    assert received.dtype == np.float32
    # Outputs that don't depend on the image would agree with anything.
    assert np.ptp(target, axis=0).max() > 0.05 * abs(target).max()
    limit = 1e-5 * abs(target).max()
    np.testing.assert_allclose(received, target, rtol=0, atol=limit)


def write_run(
    path, *, shape=SHAPE, names=NAMES, model=None, network="cifar_resnet8", **requested
):
    """Writes a run's folder, with the files that version 0.1.0 wrote."""
    folder = RunFolder(path)
    path.mkdir(parents=True, exist_ok=True)
    data = {"image_shape": list(shape), "class_names": names}
    config = CONFIG_0_1_0 | {
        "requested": CONFIG_0_1_0["requested"] | {"model": network} | requested,
        "resolved": CONFIG_0_1_0["resolved"] | data,
    }
    folder.config.write_text(json.dumps(config))
    folder.result.write_text(json.dumps(RESULT_0_1_0))
    if model is not None:
        model.save(folder.model)
    return folder


# The fingerprint of the digits' first 640 training images and all test images.
DIGITS_640 = "73de5d61d93bc6e5f0dd5035788479706b56a0cfb4e385111aea252af21e9d3e"
CONFIG_0_1_0 = {
    "format": 1,
    "requested": {
        "dataset": "digits",
        "model": "cifar_resnet8",
        "normalization": "finetune",
        "weights": None,
        "image_size": None,
        "train_examples": 640,
        "test_examples": None,
        "validation_examples": 0,
        "pretrain_mean": None,
        "pretrain_std": None,
        "epochs": 2,
        "batch_size": 256,
        "learning_rate": 0.001,
        "seed": 223,
        "precision": "auto",
        "keep": "final",
        "deterministic": False,
    },
    "resolved": {
        "weights": "cifar10",
        "weights_sha256": None,
        "pretraining": {"origin": "package:cifar_resnet8.cifar10.safetensors"},
        "statistics": {
            "mean": [0.25, 0.5, 0.75],
            "std": [0.125, 0.25, 0.5],
            "definition": "pooled",
            "source": "the training images of this run",
        },
        "precision": "float32",
        "data_seed": 436566333,
        "model_seed": 1139875137,
        "train_examples": 640,
        "test_examples": 500,
        "validation_examples": 0,
        "parameters": 309994,
        "jit_compile": False,
    },
    "data_fingerprint": DIGITS_640,
    "environment": ENVIRONMENT,
}
RESULT_0_1_0 = {
    "format": 1,
    "best_epoch": 2,
    "best_test_accuracy": 0.106,
    "final_epoch": 2,
    "final_test_accuracy": 0.106,
    "final_train_accuracy": 0.196875,
    "kept_epoch": 2,
    "train_seconds": 1.055,
    "total_seconds": 1.992,
    "peak_memory_mib": 1000.0,
    "resumed_epochs": [],
}
