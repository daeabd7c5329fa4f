"""Logits of our models under whatever backend KERAS_BACKEND names; no test itself.

python -m tests.helpers.backend_logits OUTPUT
"""

import pathlib
import sys

import keras
import numpy as np
from safetensors.numpy import save_file

from experiments.support.parity import cases
from normtest_tf import backbones, normalization
from normtest_tf.backbones.weights import safetensors_files, sources
from normtest_tf.training import classifier

SHAPE = (32, 32, 3)
CONSTANT = 2  # So many of the images have constant channels.


def images():
    """Returns uint8 images; of the first two some and all channels are constant."""
    found, _, _ = cases.raw_images()
    found[0, ..., 1] = 255
    found[1] = (3, 131, 255)
    return found


def load(model):
    """Loads the seeded weights from a file in timm's layout."""
    variables = safetensors_files.variables_by_tensor(model)
    tensors = cases.tensors(
        {k: safetensors_files.pytorch_shape(v) for k, v in variables.items()}
    )
    path = pathlib.Path(sys.argv[1]).with_suffix(".safetensors")
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, path)
    assert sources.load_file(model, path) == []


def network_logits(builder):
    """Returns the logits of a network on normalised images."""
    model = builder(
        weights=None, input_shape=SHAPE, classes=10, classifier_activation=None
    )
    load(model)
    inputs, _ = cases.batch(32, 2)
    return model(inputs.astype("float32"), training=False)


def classifier_logits(statistics):
    """Returns the logits of a classifier on raw images."""
    model, _ = classifier.build_classifier(
        backbones.resolve("resnet18", "none"),
        statistics,
        image_shape=SHAPE,
        num_classes=10,
        seed=1,
    )
    load(model.get_layer("resnet18"))
    head = model.get_layer("head")
    kernel = cases.tensors({"head": (10, 512)})["head"].T
    head.set_weights([kernel, np.arange(10.0)])
    # Saving and loading is how others get the model under their own backend.
    path = pathlib.Path(sys.argv[1]).with_suffix(".keras")
    model.save(path)
    return keras.models.load_model(path).predict(images(), verbose=0)


def main():
    logits = {
        "resnet18": network_logits(backbones.ResNet18),
        "densenet121": network_logits(backbones.DenseNet121),
        "classifier": classifier_logits(normalization.IMAGENET),
        "instance": classifier_logits(None),
    }
    arrays = {k: keras.ops.convert_to_numpy(v) for k, v in logits.items()}
    np.savez(sys.argv[1], backend=keras.backend.backend(), **arrays)


if __name__ == "__main__":
    main()
