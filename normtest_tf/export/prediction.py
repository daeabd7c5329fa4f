"""Classifying image files with a model that this project wrote."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import keras
import numpy as np

from normtest_tf import errors
from normtest_tf.datasets import decoding
from normtest_tf.export import metadata as model_metadata

BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A model and what its outputs mean.

    Attributes:
        model: From uint8 images `[n, height, width, 3]` to logits or probabilities.
        class_names: What the outputs stand for.
        gives_probabilities: Whether the model applies the softmax itself.
    """

    model: keras.Model
    class_names: list[str]
    gives_probabilities: bool

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images it takes."""
        return self.model.input_shape[1:3]

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns the probability of every class, `[n, classes]`, for images."""
        outputs = self.model.predict(images, batch_size=BATCH_SIZE, verbose=0)
        if self.gives_probabilities:
            return outputs
        return softmax(outputs.astype("float64"))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities of logits `[n, classes]`."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def load_model(path: pathlib.Path) -> keras.Model:
    """Loads a `.keras` file.

    Raises:
        UsageError: If it is missing or can't be loaded.
    """
    if not path.is_file():
        raise errors.UsageError(f"{path} is missing or no file")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras, h5py and zipfile raise a dozen types.
        raise errors.UsageError(
            f"can't load {path}: {errors.first_cause(error)}"
        ) from error


def load(path: pathlib.Path) -> Classifier:
    """Loads a classifier of raw images.

    Args:
        path: A run's folder, its `model.keras`, or a `.keras` export.

    Returns:
        The classifier. Classes without names are called by their numbers.

    Raises:
        UsageError: If the model can't be loaded, or classifies no images.
    """
    metadata = find_metadata(path)
    file = path / "model.keras" if path.is_dir() else path
    if metadata.get("output") == "features":
        raise errors.UsageError(
            f"{path} gives features, not classes; export it without --features"
        )
    model = load_model(file)
    shapes = (model.input_shape, model.output_shape)
    if not all(_is_shape(*pair) for pair in zip(shapes, (4, 2), strict=True)) or (
        shapes[0][3] != 3
    ):
        raise errors.UsageError(
            f"{file} is no classifier of RGB images of a fixed size. Received: a "
            f"model from {shapes[0]} to {shapes[1]}"
        )
    names = metadata.get("class_names") or list(map(str, range(shapes[1][1])))
    if len(names) != shapes[1][1]:
        raise errors.UsageError(
            f"{file} tells {shapes[1][1]} classes apart, but {len(names)} class "
            "names belong to it"
        )
    return Classifier(model, names, metadata.get("output") == "probabilities")


def find_metadata(path: pathlib.Path) -> dict[str, Any]:
    """Returns the metadata that belong to a model, or nothing.

    Args:
        path: A run's folder, its `model.keras`, or a `.keras` export.

    Raises:
        UsageError: If the path or the metadata can't be read.
    """
    if path.is_dir():
        return model_metadata.describe_run(path, "logits")
    if path.suffix != ".keras":
        raise errors.UsageError(
            f"--model takes a .keras file or a run's folder. Received: {path}"
        )
    if not path.is_file():
        raise errors.UsageError(f"--model={path} does not exist")
    inside = model_metadata.read_from_archive(path)
    if inside is None and (path.parent / "result.json").is_file():
        return model_metadata.describe_run(path.parent, "logits")
    return inside or {}


def read_image(
    path: pathlib.Path, image_size: tuple[int, int]
) -> tuple[np.ndarray, str]:
    """Reads one image file at the size that a model takes.

    Args:
        path: A PNG or JPEG file.
        image_size: Height and width.

    Returns:
        uint8 `[height, width, 3]`, and a note if the image had to be resized.

    Raises:
        UsageError: If the file can't be read or decoded; it names the file.
    """
    import PIL.Image

    image = PIL.Image.fromarray(decoding.decode_file(path))
    size = image_size[::-1]
    if image.size == size:
        return np.asarray(image), ""
    note = f"resized from {image.width}x{image.height} to {size[0]}x{size[1]}"
    return np.asarray(image.resize(size, PIL.Image.Resampling.BILINEAR)), note


def top(probabilities: np.ndarray, class_names: list[str], count: int) -> str:
    """Returns the likeliest classes of one image, as `cat 93.1%, dog 4.0%`."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return ", ".join(f"{class_names[i]} {probabilities[i]:.1%}" for i in order)


def _is_shape(shape: object, rank: int) -> bool:
    """Tells whether a model's shape has that rank and only the batch is free."""
    return isinstance(shape, tuple) and len(shape) == rank and None not in shape[1:]
