"""Fine-tunes on one device and on two of JAX, which are the CPU twice.

KERAS_BACKEND=jax python -m tests.helpers.parallel_training FOLDER

FOLDER gets the folders of whole runs; the one on two devices was interrupted and
resumed. Prints of how many images of each batch a device computes something.
"""

import os
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import jax
import keras

from normtest_tf import datasets
from normtest_tf.runs import finetuning
from normtest_tf.training import classifier, environment, loop, pipeline
from normtest_tf.training.recipe import Recipe
from tests.helpers.tiny_runs import new_config


class Spy(keras.layers.Layer):
    """Prints of how many images a device computes something."""

    def call(self, inputs):
        def see(sharding):
            print("images on a device:", sharding.shard_shape(shape)[0])

        shape = inputs.shape
        jax.debug.inspect_array_sharding(inputs, callback=see)
        return inputs


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


OPTIONS = {"epochs": 2, "learning_rate": 1e-3, "recalibrate": True, "keep": "final"}


def interrupt(line):
    if line.startswith("epoch"):
        raise KeyboardInterrupt


def main():
    classifier.build_classifier = small_classifier
    digits = datasets.load("digits").take(69, 21)  # A last batch of five images.
    (folder,) = sys.argv[1:]
    finetuning.run(new_config(f"{folder}/one", **OPTIONS), digits)
    config = new_config(f"{folder}/two", strategy="data_parallel", **OPTIONS)
    try:
        finetuning.run(config, digits, show_epoch=interrupt)
    except KeyboardInterrupt:
        assert not config.folder.is_finished()
    finetuning.run(config, digits)

    model = environment.spread(
        environment.find_devices("data_parallel", 32, print),
        lambda: keras.Sequential(
            [
                keras.Input((32, 32, 3), dtype="uint8"),
                Spy(autocast=False),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(10),
            ]
        ),
    )
    split = pipeline.Split(digits.train_images, digits.train_labels)
    data = pipeline.TrainingData(split, {}, seed=0)
    loop.fit(model, Recipe(1, 32), data, lambda row: None)
