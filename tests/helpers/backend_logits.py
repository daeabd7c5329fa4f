"""Writes logits of our models, computed with the backend named by KERAS_BACKEND.

python -m tests.helpers.backend_logits OUTPUT
"""

import pathlib
import sys

import keras
import numpy as np
from safetensors.numpy import save_file

from experiments.support.parity import cases
from normtest_tf import backbones, normalization
from normtest_tf.backbones import densenet, timm_layout, weights

SHAPE = (32, 32, 3)
CONSTANT = 2  # The number of images with constant channels; they come first.


def images():
    """Returns uint8 images; one channel of the first is constant, all of the second."""
    found, _, _ = cases.raw_images()
    found[0, ..., 1] = 255
    found[1] = (3, 131, 255)
    return found


def load(model):
    """Loads the seeded weights from a file in timm's layout."""
    variables = timm_layout.variables_by_tensor(model)
    tensors = cases.tensors(
        {k: timm_layout.pytorch_shape(v) for k, v in variables.items()}
    )
    path = pathlib.Path(sys.argv[1]).with_suffix(".safetensors")
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, path)
    weights.load_file(model, path)


def features():
    """Returns what a short DenseNet makes of normalised images."""
    pixels = keras.Input(SHAPE)
    model = keras.Model(pixels, densenet.features(pixels, 8, (2, 2)))
    load(model)
    inputs, _ = cases.batch(32, 2)
    found = model.predict(inputs.astype("float32"), verbose=0)
    return found.reshape(len(found), -1)


def classifier_logits(setting, statistics):
    """Returns the logits of a classifier on raw images."""
    layer = normalization.get(setting).layer(statistics, SHAPE)
    network = backbones.resolve("cifar_resnet8", "none").build(SHAPE)
    load(network)
    inputs = keras.Input(SHAPE, dtype="uint8")
    # A run's head is drawn by TensorFlow, which other backends must not need here.
    head = keras.layers.Dense(10)
    model = keras.Model(inputs, head(network(layer(inputs))))
    kernel = cases.tensors({"head": (10, 128)})["head"].T
    head.set_weights([kernel, np.arange(10.0)])
    # Users of other backends get the model by loading the saved file.
    path = pathlib.Path(sys.argv[1]).with_suffix(".keras")
    model.save(path)
    return keras.models.load_model(path).predict(images(), verbose=0)


def main():
    logits = {
        "densenet": features(),
        "classifier": classifier_logits("pretrain", normalization.IMAGENET),
        "instance": classifier_logits("instance", None),
    }
    arrays = {k: keras.ops.convert_to_numpy(v) for k, v in logits.items()}
    np.savez(sys.argv[1], backend=keras.backend.backend(), **arrays)


if __name__ == "__main__":
    main()
