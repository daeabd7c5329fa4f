"""A small classifier of every kind, and the folder of its run."""

import dataclasses
import functools

import numpy as np

from normtest_tf import backbones
from normtest_tf.export import FORMATS, formats
from normtest_tf.normalization import ChannelStatistics, normalization_layer
from normtest_tf.runs import RunFolder, metadata, model_file
from normtest_tf.runs.metadata import METADATA_FORMAT
from normtest_tf.training import classifier
from tests.helpers import records

SHAPE = (16, 24, 3)  # Not square, so that swapped sides show.
# Channels that differ, so that a wrong order shows.
STATISTICS = ChannelStatistics((0.2, 0.5, 0.8), (0.1, 0.2, 0.3), "pooled", "a test")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
NAMES = ["apple", "bee", "cat", "dög"]
# Those of raw pixels that can be written here; folders for a Hub are tested apart.
INSTALLED = [
    name
    for name, entry in FORMATS.items()
    if name not in ("timm", "keras_folder") and not formats.missing(entry.packages)
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
        "format": METADATA_FORMAT,
        "output": output,
        "class_names": NAMES,
        "statistics": {"mean": [0.1, 0.2, 0.3]},
        "run": {"precision": precision},
    }


def assert_close(received, target):
    assert received.dtype == np.float32
    # Outputs that don't depend on the image would agree with anything.
    assert np.ptp(target, axis=0).max() > 0.05 * abs(target).max()
    limit = 1e-5 * abs(target).max()
    np.testing.assert_allclose(received, target, rtol=0, atol=limit)


def write_run(
    path, *, shape=SHAPE, names=NAMES, model=None, network="cifar_resnet8", **requested
):
    """Writes the folder of a finished run."""
    folder = RunFolder(path)
    path.mkdir(parents=True, exist_ok=True)
    config = dataclasses.replace(
        records.CONFIG,
        requested=records.REQUESTED | {"model": network} | requested,
        resolved=dataclasses.replace(
            records.RESOLVED, image_shape=tuple(shape), class_names=tuple(names)
        ),
    )
    config.write(folder)
    records.RESULT.write(folder)
    if model is not None:
        model_file.save(model, folder.model, metadata.describe_run(folder))
    return folder
