"""Writes an export, and keeps it only if it computes what the run's model computes."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from normtest_tf import errors
from normtest_tf.export import prediction, runtimes, timm_folders, writers
from normtest_tf.export.formats import FEATURES, FORMATS, PROBABILITIES, ExportError
from normtest_tf.system import files, keras_setup

# Relative to the largest output. Runtimes sum a convolution's products in different
# orders.
TOLERANCE = 1e-4

SEED = 223

# What computes the outputs of an export where its runtime is not installed.
READERS: dict[str, Callable[[pathlib.Path, np.ndarray], np.ndarray]] = {
    "timm": timm_folders.outputs
}


@dataclasses.dataclass(frozen=True)
class Deviation:
    """How far the outputs of an export are from those of the run's model.

    Attributes:
        images: The number of images compared on.
        difference: The largest absolute difference of any output.
        largest: The largest absolute output of the run's model.
        disagreements: The number of images with a different top output.
    """

    images: int
    difference: float
    largest: float
    disagreements: int

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
    """Returns images of random pixels, the same ones in every call.

    Args:
        image_shape: Height, width and 3.
        count: The number of images.

    Returns:
        uint8 `[count, height, width, 3]`, with values from 0 to 255.
    """
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
    """Writes an export, reloads it in a fresh process and compares it.

    The run's model computes with Keras's backend. Where that is another one than
    TensorFlow, and only TensorFlow writes the format, another process does.

    Args:
        model: The run's model.
        path: The file, or the folder if the format is one; an earlier one is
            replaced.
        format_name: A key of `formats.FORMATS`.
        description: The metadata, from `metadata.describe_run`; its `output`
            determines what the export computes.
        images: uint8 `[n, height, width, 3]` to compare on.

    Returns:
        How far the export is from the run's model: no further than `TOLERANCE`.

    Raises:
        UsageError: If this format can't express the model.
        ExportError: If the export can't be written or run, or differs. `path` is
            left as it was.

    Example:
        ```python
        folder = RunFolder(pathlib.Path("results/digits/resnet18-finetune/seed-223"))
        description = describe_run(folder, "logits")
        deviation = export(
            prediction.load_model(folder.model),
            FORMATS["onnx"].default_path(folder, "logits"),
            "onnx",
            description,
            random_images(description["image"]["shape"], 32),
        )
        ```
    """
    entry = FORMATS[format_name]
    entry.check_run(description)
    output, precision = description["output"], description["run"]["precision"]
    target = expected(model, output, precision, images)
    with files.atomic_path(path) as temporary:
        exported = writers.build(model, output)
        writers.write(exported, temporary, format_name, description)
        outputs = read_back if entry.missing_runtime() else reload
        deviation = compare(outputs(format_name, temporary, images), target)
        if not deviation.is_tolerable:
            raise ExportError(
                f"the {format_name} export does not match the run's model: "
                f"{deviation}. Allowed: {TOLERANCE:g} of the largest output. It was "
                "not kept"
            )
    return deviation


@keras_setup.checked()
def expected(
    model: keras.Model, output: str, precision: str, images: np.ndarray
) -> np.ndarray:
    """Returns what an export should compute, float64 `[n, outputs]`.

    That is what the run's model computes; after mixed precision, in float32.
    """
    if precision != "float32":
        model = writers.in_float32(model)
    if output == FEATURES:
        model = keras.Model(model.input, model.get_layer("head").input)
    values = model.predict(images, batch_size=100, verbose=0).astype("float64")
    return prediction.softmax(values) if output == PROBABILITIES else values


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


def read_back(format_name: str, path: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """Returns the outputs of an export, computed without its runtime."""
    try:
        return READERS[format_name](path, images)
    except errors.UsageError as error:
        raise ExportError(
            f"the {format_name} export can't be read back: {error}. It was not kept"
        ) from error


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
