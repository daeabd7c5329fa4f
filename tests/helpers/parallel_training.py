"""Trains small networks on one device and on two of the backend named by KERAS_BACKEND.

python -m tests.helpers.parallel_training OUTPUT FOLDER

The two devices are the CPU twice. OUTPUT gets weights, losses and accuracies of each
training; FOLDER the folders of whole runs, one of which was interrupted and resumed.
"""

import os
import sys
from typing import ClassVar

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"  # For JAX.

import keras
import numpy as np
import tensorflow as tf

from experiments.support import fault_campaign
from normtest_tf import datasets, runs
from normtest_tf.runs import finetuning
from normtest_tf.training import (
    choices,
    classifier,
    devices,
    loop,
    recipe,
    training_copy,
)
from tests.helpers import backend_training

SHAPE, CLASSES = (2, 2, 3), 3
MOMENTUM, EPSILON = 0.9, 1e-3
# A last batch of five images.
OWN, OWN_EXAMPLES = recipe.Recipe(2, 8, 0.1, "sgd"), 21
# A last batch of a single image, which two devices can't share.
WHOLE, WHOLE_EXAMPLES = recipe.Recipe(1, 8), 17


class Spy(keras.layers.Layer):
    """Remembers of how many images a device computes something."""

    sizes: ClassVar[set[int]] = set()

    def call(self, inputs):
        if keras.backend.backend() == "jax":
            import jax

            jax.debug.inspect_array_sharding(
                inputs, callback=lambda found: self.see(found.shard_shape(shape)[0])
            )
            shape = inputs.shape
            return inputs
        seen = tf.numpy_function(self.see, [tf.shape(inputs)[0]], tf.int32)
        with tf.control_dependencies([seen]):
            return tf.identity(inputs)

    def see(self, size):
        self.sizes.add(int(size))
        return np.int32(size)


def split(examples, shape, classes):
    rng = np.random.default_rng(examples)
    pixels = rng.integers(0, 256, (examples, *shape), dtype=np.uint8)
    return loop.Split(pixels, np.arange(examples) % classes)


def normalised_pixels():
    """Returns a model for which the gradients are a few lines of NumPy."""
    layers = [
        keras.Input(SHAPE, dtype="uint8"),
        Spy(autocast=False),
        keras.layers.Rescaling(1 / 255),
        keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON),
        keras.layers.Flatten(),
        keras.layers.Dense(CLASSES, kernel_initializer="zeros"),
    ]
    return training_copy.make(keras.Sequential(layers))


def small_classifier(network, normalization, task, *, seed, **_):
    """Stands in for `classifier.build_classifier`."""
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input(task.image_shape, dtype="uint8"),
        normalization,
        # With a bias, whose gradient is nothing but rounding, Adam would go astray.
        keras.layers.Conv2D(4, 3, strides=2, use_bias=False),
        keras.layers.BatchNormalization(momentum=0.9),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(task.num_classes),
    ]
    return keras.Sequential(layers)


def two_devices(*, sync):
    found = devices.find(
        "data_parallel",
        sync_batch_norm=sync,
        batch_size=8,
        precision="float32",
        notify=print,
    )
    assert found.count == 2
    return found


def train(make, found, options, data):
    """Returns final weights, losses and accuracies, by name."""
    rows = []
    model = found.spread(make)
    loop.fit(model, options, data, rows.append)
    values = {name: [row[name] for row in rows] for name in rows[0]}
    for index, weights in enumerate(model.get_weights()):
        values[f"weight{index}"] = weights
    return {k: v for k, v in values.items() if k not in fault_campaign.CLOCKS}


def train_on_one_and_two():
    """Trains a network with layers of all kinds."""
    shape = (backend_training.SIZE,) * 2 + (3,)
    train_split, uneven, single = (
        split(examples, shape, backend_training.CLASSES)
        for examples in (WHOLE_EXAMPLES, 3, 1)
    )
    data = loop.TrainingData(train_split, {"test": uneven, "single": single}, seed=5)
    return {
        name: train(backend_training.model_to_train, found, WHOLE, data)
        for name, found in (
            ("one", devices.Devices()),
            ("two", two_devices(sync=True)),
        )
    }


def train_with_own_statistics():
    """Trains what the test computes itself."""
    data = loop.TrainingData(
        split(OWN_EXAMPLES, SHAPE, CLASSES), {}, seed=5, augmentation=choices.NONE
    )
    found = train(normalised_pixels, two_devices(sync=False), OWN, data)
    return {"own": found, "spied": {"sizes": sorted(Spy.sizes)}}


def new_config(folder, **options):
    return runs.RunConfig(
        dataset="digits",
        model="cifar_resnet8",
        epochs=2,
        batch_size=32,
        recalibrate=True,
        results_dir=folder,
        **options,
    )


def run(folder, **options):
    """Fine-tunes on digits; the last batch of an epoch has five images."""
    config = new_config(folder, **options)
    digits = datasets.load("digits").take(69, 21)
    if folder.endswith("resumed"):
        try:
            finetuning.run(config, digits, show_epoch=interrupt)
        except KeyboardInterrupt:
            assert not config.folder.is_finished()
    finetuning.run(config, digits)


def interrupt(row):
    raise KeyboardInterrupt


def main():
    (cpu,) = tf.config.list_physical_devices("CPU")
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, halves)
    classifier.build_classifier = small_classifier
    output, folder = sys.argv[1:]
    found = train_with_own_statistics()
    strategy = {"strategy": "data_parallel", "sync_batch_norm": True}
    run(f"{folder}/one")
    run(f"{folder}/resumed", **strategy)
    if keras.backend.backend() == "tensorflow":
        found |= train_on_one_and_two()
        record = finetuning.prepare(new_config(folder, strategy="data_parallel")).record
        assert record.resolved.own_statistics == 2
        run(f"{folder}/two", **strategy)
    values = {
        f"{name} {key}": value
        for name, values in found.items()
        for key, value in values.items()
    }
    np.savez(output, **values)


if __name__ == "__main__":
    main()
