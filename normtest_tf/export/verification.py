"""Writes an export, and keeps it only if it computes what the run's model computes."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import tempfile
from typing import Any

import keras
import numpy as np
import scipy.special

from normtest_tf.export import formats, prediction, runtimes, writers
from normtest_tf.export.formats import FORMATS, ExportError
from normtest_tf.runs.metadata import FEATURES, PROBABILITIES
from normtest_tf.system import files, keras_setup

# Relative to the largest output. Runtimes sum a convolution's products in different
# orders.
TOLERANCE = 1e-4
SEED = 223


@dataclasses.dataclass(frozen=True)
class Deviation:
    """How far the outputs of an export are from those of the run's model."""

    images: int  # Compared on.
    difference: float  # The largest absolute one of any output.
    largest: float  # The largest absolute output of the run's model.
    disagreements: int  # Images with a different top output.

    @property
    def relative(self) -> float:
        """The largest difference, as a fraction of the largest output."""
        return self.difference / self.largest if self.largest else self.difference

    @property
    def is_tolerable(self) -> bool:
        """Whether rounding can explain it; it can't explain a NaN."""
        return self.relative <= TOLERANCE

    def __str__(self) -> str:
        return (
            f"largest difference {self.difference:.2g} ({self.relative:.2g} of the "
            f"largest output, {self.largest:.3g}) on {self.images:,} images; "
            f"{self.disagreements} of them with a different top output"
        )


def random_images(image_shape: tuple[int, int, int], count: int) -> np.ndarray:
    """Returns uint8 images of random pixels, the same ones in every call."""
    generator = np.random.default_rng(SEED)
    return generator.integers(0, 256, (count, *image_shape), dtype=np.uint8)


@keras_setup.checked()
def export(
    model: keras.Model,
    path: pathlib.Path,
    format_name: str,
    description: dict[str, Any],
    images: np.ndarray,
) -> Deviation:
    """Writes an export and keeps it if what is reloaded from it computes the same.

    `description`, from `describe_run`, says what it computes. Raises `ExportError`.
    """
    entry = FORMATS[format_name]
    entry.check(description)
    target = expected(model, description, images)
    with files.atomic_path(path) as temporary:
        exported = writers.build(model, description["output"])
        writers.write(exported, temporary, format_name, description)
        if formats.missing(entry.runtime):
            loaded = prediction.load_model(temporary)
            received = loaded.predict(images, batch_size=100, verbose=0)
        else:
            received = reload(format_name, temporary, images)
        deviation = compare(received, target)
        if not deviation.is_tolerable:
            raise ExportError(
                f"the {format_name} export does not match the run's model: "
                f"{deviation}. Allowed: {TOLERANCE:g} of the largest output. It was "
                "not kept"
            )
    return deviation


def expected(
    model: keras.Model, description: dict[str, Any], images: np.ndarray
) -> np.ndarray:
    """Returns what the run's model computes in float32, as float64 `[n, outputs]`."""
    if description["run"]["precision"] != "float32":
        model = writers.in_float32(model)
    output = description["output"]
    if output == FEATURES:
        model = keras.Model(model.input, model.get_layer("head").input)
    values = model.predict(images, batch_size=100, verbose=0).astype("float64")
    if output == PROBABILITIES:
        values = scipy.special.softmax(values, axis=1)
    return values


def reload(format_name: str, path: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """Returns the outputs of an export, run by its own runtime in a fresh process."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        pixels, outputs = folder / "images.npy", folder / "outputs.npy"
        np.save(pixels, images)
        paths = (str(file) for file in (path.absolute(), pixels, outputs))
        writers.run_python(
            [runtimes.__file__, format_name, *paths],
            {"KERAS_HOME": os.devnull},  # Without the user's keras.json.
            f"the {format_name} export was not kept, because it can't be run",
        )
        return np.load(outputs)


def compare(received: np.ndarray, target: np.ndarray) -> Deviation:
    """Compares the outputs of an export with those from `expected`."""
    if received.shape != target.shape or received.dtype != np.float32:
        raise ExportError(
            f"the export's outputs must be float32 of shape {target.shape}. Received: "
            f"{received.dtype} of shape {received.shape}. It was not kept"
        )
    return Deviation(
        images=len(target),
        difference=float(abs(received - target).max()),
        largest=float(abs(target).max()),
        disagreements=int((received.argmax(1) != target.argmax(1)).sum()),
    )
