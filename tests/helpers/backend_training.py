"""Trains a small network a few steps with the backend named by KERAS_BACKEND.

python -m tests.helpers.backend_training OUTPUT

Every backend gets the same initial weights. One model is trained for two epochs,
another for the second alone, resumed from the first one's state.
"""

import sys

import keras
import numpy as np

from normtest_tf import backbones
from normtest_tf.normalization import IMAGENET, normalization_layer
from normtest_tf.training import classifier, loop, training_copy
from normtest_tf.training.recipe import Recipe
from normtest_tf.training.training_copy import BatchNormalization, Convolution

SIZE, CLASSES = 8, 4
RECIPE = Recipe(epochs=2, batch_size=16)
EXAMPLES = 40  # The last batch is a short one.


def split():
    """Returns images whose mean colour tells their class."""
    labels = np.arange(EXAMPLES) % CLASSES
    shape = (EXAMPLES, SIZE, SIZE, 3)
    images = np.random.default_rng(0).integers(0, 128, shape, np.uint8)
    return loop.Split(
        images + (40 * labels).astype(np.uint8)[:, None, None, None], labels
    )


def model_to_train():
    """Returns a copy for training whose layers are of all kinds."""
    layers = [
        keras.Input((SIZE, SIZE, 3), dtype="uint8"),
        normalization_layer(IMAGENET, (SIZE, SIZE, 3)),
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
            shape = variable.shape
            deviation = np.sqrt(2 / np.prod(shape[:-1]))
            variable.assign(rng.normal(0, deviation, shape))
    copy = training_copy.make(model)
    kinds = [type(layer) for layer in copy.layers]
    assert kinds.count(Convolution) == 3
    assert kinds.count(BatchNormalization) == 1
    return copy


def drawn_head():
    """Returns the initial weights of a classifier's head."""
    shape = (32, 32, 3)
    model = classifier.build_classifier(
        backbones.resolve("cifar_resnet8", "none"),
        normalization_layer(IMAGENET, shape),
        classifier.Task(shape, 101),
        seed=2**31 - 1,
    )
    return model.get_layer("head").get_weights()


def main():
    rows, states = [], {}
    data = loop.TrainingData(split(), {"test": split()}, seed=5)
    whole, resumed = model_to_train(), model_to_train()

    def remember(row):
        rows.append(row)
        states[row["epoch"]] = loop.TrainingState.capture(whole, row["epoch"])

    loop.fit(whole, RECIPE, data, remember)
    loop.fit(resumed, RECIPE, data, rows.append, state=states[1])
    end = loop.TrainingState.capture(resumed, 2)
    values = {
        "losses": [[row["train_loss"], row["test_loss"]] for row in rows],
        **{f"whole{i}": value for i, value in enumerate(states[2].model)},
        **{f"resumed{i}": value for i, value in enumerate(end.model)},
        **{f"head{i}": value for i, value in enumerate(drawn_head())},
    }
    np.savez(sys.argv[1], backend=keras.backend.backend(), **values)


if __name__ == "__main__":
    main()
