"""Classifies image files with the model of a run."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import zipfile
from typing import Any

import keras
import numpy as np
import scipy.special

from normtest_tf import datasets, errors
from normtest_tf.backbones import own_models
from normtest_tf.datasets import images
from normtest_tf.export import timm_folders
from normtest_tf.runs import RunFolder, metadata
from normtest_tf.runs.metadata import FEATURES, PROBABILITIES
from normtest_tf.system import keras_setup

BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A model of uint8 images `[n, height, width, 3]`, and what its outputs mean."""

    model: keras.Model
    class_names: list[str]
    has_softmax: bool  # Whether it outputs probabilities rather than logits.
    resize: str = datasets.RESIZES[0]  # How images of another size are, as in training.
    shift: str = datasets.NO_SHIFT  # What is done to images then, as in training.

    def read(self, path: pathlib.Path) -> tuple[np.ndarray, str]:
        """Reads an image file, resized and shifted; the note says if it was resized."""
        pixels, note = images.decode_file(path), ""
        size = self.model.input_shape[1:3]
        if pixels.shape[:2] != size:
            note = "resized from {1}x{0} to {3}x{2}".format(*pixels.shape[:2], *size)
            pixels = images.resized(pixels, size, self.resize)
        return datasets.parse_shift(self.shift)(pixels), note

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
        return scipy.special.softmax(outputs.astype("float64"), axis=1)

    def top(self, probabilities: np.ndarray, count: int) -> str:
        """Formats an image's most likely classes, as `cat 93.1%, dog 4.0%`."""
        order = np.argsort(-probabilities, kind="stable")[:count]
        return ", ".join(f"{self.class_names[i]} {probabilities[i]:.1%}" for i in order)


def load(path: pathlib.Path, description: dict[str, Any] | None = None) -> Classifier:
    """Loads a classifier from a finished run's folder, its model or an export of it."""
    description = description or metadata.find(path)
    is_run = os.path.isdir(path) and metadata.read(path) is None
    file = RunFolder(path).model if is_run else path
    output = description["output"]
    if output == FEATURES:
        raise errors.UsageError(
            f"{path} computes features, not classes; export it without --features"
        )
    image = description.get("image", {})
    return Classifier(
        load_model(file),
        description["class_names"],
        output == PROBABILITIES,
        image.get("resize", datasets.RESIZES[0]),
        image.get("shift", datasets.NO_SHIFT),
    )


@keras_setup.checked()
def load_model(path: pathlib.Path) -> keras.Model:
    """Loads a `.keras` file, or a folder for Keras or timm, of stock layers alone."""
    try:
        if os.path.isfile(path / timm_folders.WEIGHTS):
            return timm_folders.load(path)
        # Keras would not find an archive that was cut off.
        place = path if os.path.isdir(path) else zipfile.Path(path)
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))
        own_models.check_stock(path, config)
        return keras.models.load_model(path, compile=False)
    except errors.UsageError:
        raise
    except Exception as error:  # Keras, h5py and zipfile raise a dozen types.
        raise errors.UsageError(
            f"can't load {path}: {errors.first_cause(error)}; {metadata.REMEDY}"
        ) from error
