"""A small network, trained a few steps with the backend named by KERAS_BACKEND."""

import keras
import numpy as np

from normtest_tf import backbones, errors
from normtest_tf.normalization import IMAGENET, normalization_layer
from normtest_tf.training import classifier, loop, pipeline, training_copy
from normtest_tf.training.recipe import Recipe
from normtest_tf.training.training_copy import BatchNormalization, Convolution

SHAPE, CLASSES = (8, 8, 3), 4
EXAMPLES = 40  # The last batch of 16 is a short one.


def model_to_train():
    """Returns a copy for training whose layers are of all kinds."""
    layers = [
        keras.Input(SHAPE, dtype="uint8"),
        normalization_layer(IMAGENET, SHAPE),
        keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False),
        keras.layers.BatchNormalization(momentum=0.9),
        keras.layers.ReLU(),
        keras.layers.Conv2D(8, 1),  # A product by pixels.
        keras.layers.AveragePooling2D(2),
        keras.layers.Conv2D(8, 3, padding="same"),  # A product of the whole map.
        keras.layers.Flatten(),
        keras.layers.Dense(CLASSES),
    ]
    model = keras.Sequential(layers)
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        if variable.name == "kernel":
            deviation = np.sqrt(2 / np.prod(variable.shape[:-1]))
            variable.assign(rng.normal(0, deviation, variable.shape))
    copy = training_copy.make(model)
    kinds = [type(layer) for layer in copy.layers]
    assert (kinds.count(Convolution), kinds.count(BatchNormalization)) == (3, 1)
    return copy


def trained(rate=1e-3):
    """Returns losses and weights after two epochs of images whose colour is a class."""
    labels = np.arange(EXAMPLES) % CLASSES
    images = np.random.default_rng(0).integers(0, 128, (EXAMPLES, *SHAPE), np.uint8)
    images += (40 * labels).astype(np.uint8)[:, None, None, None]
    split = pipeline.Split(images, labels)
    data = pipeline.TrainingData(split, {"test": split}, seed=5)
    rows, model = [], model_to_train()
    loop.fit(model, Recipe(2, 16, rate), data, rows.append)
    losses = [[row["train_loss"], row["test_loss"]] for row in rows]
    return losses, [values.tolist() for values in model.get_weights()]


def exploded():
    """Returns what a training whose first step makes the weights infinite says."""
    try:
        trained(rate=float("inf"))
    except errors.TrainingFailed as error:
        return str(error)
    return None


def drawn_head():
    """Returns the initial weights of a classifier's head."""
    shape = (32, 32, 3)
    model = classifier.build_classifier(
        backbones.resolve("cifar_resnet8", "none"),
        normalization_layer(IMAGENET, shape),
        classifier.Task(shape, 101),
        seed=2**31 - 1,
    )
    return [values.tolist() for values in model.get_weights()[-2:]]
