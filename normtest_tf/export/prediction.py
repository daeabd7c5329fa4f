"""Classifies image files with the model of a run."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import zipfile
from typing import Any

import keras
import numpy as np

from normtest_tf import datasets, errors
from normtest_tf.datasets import images, shifts
from normtest_tf.export import metadata
from normtest_tf.export.formats import FEATURES, PROBABILITIES
from normtest_tf.runs import RunFolder
from normtest_tf.system import keras_setup

BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A model, and what its outputs stand for.

    Attributes:
        model: From uint8 images `[n, height, width, 3]` to logits or probabilities
            `[n, classes]`.
        class_names: The names of the classes.
        has_softmax: Whether the model already outputs probabilities.
        resize: How images of another size are resized, as in training.
        shift: What is done to images then, as in training; see `datasets.shifts`.
    """

    model: keras.Model
    class_names: list[str]
    has_softmax: bool
    resize: str = datasets.RESIZES[0]
    shift: str = shifts.NONE

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images that it takes."""
        return self.model.input_shape[1:3]

    def read(self, path: pathlib.Path) -> tuple[np.ndarray, str]:
        """Reads an image file at the size that the model takes.

        Returns:
            uint8 `[height, width, 3]`, the right way up and shifted; and a note if the
            image was resized, else "".
        """
        pixels = images.decode_file(path)
        height, width, _ = pixels.shape
        shift = shifts.parse(self.shift)
        if (height, width) == self.image_size:
            return shift(pixels), ""
        resized = images.resized(pixels, self.image_size, self.resize)
        note = f"resized from {width}x{height} to {resized.shape[1]}x{resized.shape[0]}"
        return shift(resized), note

    @keras_setup.checked()
    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns `[n, classes]` for uint8 images `[n, height, width, 3]`."""
        outputs = self.model.predict(images, batch_size=BATCH_SIZE, verbose=0)
        if not np.isfinite(outputs).all():
            raise errors.UsageError(
                "the model's outputs are not finite: it diverged, or its file was "
                "changed. Use another model"
            )
        if self.has_softmax:
            return outputs
        return softmax(outputs.astype("float64"))

    def top(self, probabilities: np.ndarray, count: int) -> str:
        """Formats an image's most likely classes, as `cat 93.1%, dog 4.0%`."""
        order = np.argsort(-probabilities, kind="stable")[:count]
        return ", ".join(f"{self.class_names[i]} {probabilities[i]:.1%}" for i in order)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Converts logits `[n, classes]` to probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def load(path: pathlib.Path, description: dict[str, Any] | None = None) -> Classifier:
    """Loads a classifier of raw images.

    Args:
        path: A finished run's folder, its `model.keras`, or a `.keras` export.
        description: Its metadata. Default: found by `metadata.find`.

    Returns:
        The classifier. Without metadata, classes are named by their numbers.

    Raises:
        UsageError: If the model can't be loaded, or does not classify images.

    Example:
        ```python
        classifier = load(pathlib.Path("results/cifar10/resnet18-finetune/seed-223"))
        pixels, _ = classifier.read(pathlib.Path("cat.png"))
        (row,) = classifier.probabilities(pixels[None])
        print(classifier.top(row, count=3))
        ```
    """
    if description is None:
        description = metadata.find(path)
    file = RunFolder(path).model if os.path.isdir(path) else path
    output = description.get("output")
    if output == FEATURES:
        raise errors.UsageError(
            f"{path} computes features, not classes; export it without --features"
        )
    model = load_model(file)
    _check_classifies_images(model, file)
    numbers = map(str, range(model.output_shape[1]))
    image = description.get("image", {})
    return Classifier(
        model,
        description.get("class_names") or list(numbers),
        output == PROBABILITIES,
        image.get("resize", datasets.RESIZES[0]),
        image.get("shift", shifts.NONE),
    )


@keras_setup.checked()
def load_model(path: pathlib.Path) -> keras.Model:
    """Loads a `.keras` file."""
    try:
        with zipfile.ZipFile(path):  # Keras would not find one that was cut off.
            return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras, h5py and zipfile raise a dozen types.
        raise errors.UsageError(
            f"can't load {path}: {errors.first_cause(error)}; {metadata.REMEDY}"
        ) from error


def _check_classifies_images(model: keras.Model, file: pathlib.Path) -> None:
    match model.input_shape, model.output_shape:
        case (_, int(), int(), 3), (_, int()):
            return
    raise errors.UsageError(
        f"{file} is not a classifier of RGB images of a fixed size. Received: a model "
        f"from {model.input_shape} to {model.output_shape}"
    )
