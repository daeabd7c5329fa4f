"""A run's model in other formats, proven equal by the runtime of each.

An export takes raw uint8 RGB images `[n, height, width, 3]`, n free, with the
normalization inside, and gives float32. It computes in float32 whatever the
precision that the run trained in.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from normtest_tf import datasets, errors
from normtest_tf.export import formats, prediction, runtimes
from normtest_tf.export import metadata as model_metadata
from normtest_tf.system import files

if TYPE_CHECKING:
    import onnx

# Of the largest output. Runtimes sum a convolution's products in different orders.
TOLERANCE = 1e-4
CHECK_SEED = 223


class ExportError(RuntimeError):
    """An export that can't be made, or does not compute what the run's model does."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How far an export is from the run's model.

    Attributes:
        images: Number of images compared on.
        difference: The largest difference of any output.
        largest: The largest output of the run's model.
        disagreements: Images whose largest output is another one.
    """

    images: int
    difference: float
    largest: float
    disagreements: int

    @property
    def relative(self) -> float:
        """The largest difference, as a part of the largest output."""
        return self.difference / self.largest if self.largest else self.difference

    @property
    def is_equal(self) -> bool:
        """Whether rounding explains the difference; it does not explain a NaN."""
        return self.relative <= TOLERANCE

    def __str__(self) -> str:
        return (
            f"largest difference {self.difference:.2g} ({self.relative:.2g} of the "
            f"largest output, {self.largest:.3g}) on {self.images:,} images; "
            f"{self.disagreements} of them with another largest output"
        )


def comparison_dataset(recorded: str, given: str | None) -> str:
    """Returns the data set whose test images an export is compared on.

    Args:
        recorded: Its name in the run's record, which keeps no paths.
        given: The value of `--dataset`.

    Raises:
        UsageError: If the data set can't be loaded by its name, or is another one.
    """
    if given is None and recorded not in datasets.DATASETS:
        raise errors.UsageError(
            f"--check_on=test needs --dataset=folder:PATH, since the run was on "
            f"{recorded!r} and its record keeps no paths"
        )
    if given is not None and datasets.slug(given) != recorded:
        raise errors.UsageError(
            f"--dataset={given} is not the run's data set, which was {recorded!r}"
        )
    return given or recorded


def random_images(image_shape: tuple[int, int, int], count: int) -> np.ndarray:
    """Returns uint8 images with pixels of all 256 values, always the same ones."""
    generator = np.random.default_rng(CHECK_SEED)
    return generator.integers(0, 256, (count, *image_shape), dtype=np.uint8)


def build(model: keras.Model, output: str) -> keras.Model:
    """Returns the model that gets exported: float32 throughout, same weights.

    Args:
        model: A run's model, of raw images, whose last layer is the head.
        output: `logits`, `probabilities`, or `features` for what the head takes.

    Returns:
        A model from `image` to that output, of stock Keras layers alone.
    """
    model = _rebuilt(model, _float32)
    if output == "logits":
        return model
    if output == "probabilities":
        softmax = keras.layers.Softmax(dtype="float32", name="probabilities")
        return keras.Model(model.input, softmax(model.output), name="classifier")
    features = model.get_layer("head").input
    return keras.Model(model.input, features, name="features")


def expected(
    model: keras.Model, output: str, precision: str, images: np.ndarray
) -> np.ndarray:
    """Returns what an export should give, computed by the run's model itself.

    Args:
        model: The run's model.
        output: `logits`, `probabilities` or `features`.
        precision: The Keras dtype policy that the run trained in. Weights of
            another one than float32 are compared as they compute in float32.
        images: uint8 `[n, height, width, 3]`.

    Returns:
        float64 `[n, outputs]`.
    """
    if precision != "float32":
        model = _rebuilt(model, _float32)
    if output == "features":
        model = keras.Model(model.input, model.get_layer("head").input)
    values = model.predict(images, batch_size=100, verbose=0).astype("float64")
    return prediction.softmax(values) if output == "probabilities" else values


def export(
    model: keras.Model,
    path: pathlib.Path,
    format_name: str,
    metadata: dict[str, Any],
    images: np.ndarray,
) -> Comparison:
    """Writes an export, reloads it in a fresh process and compares it.

    Args:
        model: The run's model.
        path: The file, or the folder of a SavedModel; it is replaced.
        format_name: A key of `export_formats.FORMATS`.
        metadata: From `model_metadata.describe_run`; its `output` decides what
            the export gives.
        images: uint8 `[n, height, width, 3]` to compare on.

    Returns:
        The comparison. The export is at `path` only if the two are equal.

    Raises:
        UsageError: If the Keras backend can't write this format.
        ExportError: If the export can't be written or reloaded, or differs.
            What was at `path` before is still there.
    """
    entry = formats.FORMATS[format_name]
    if not entry.any_backend and keras.backend.backend() != "tensorflow":
        raise errors.UsageError(
            f"--format={format_name} is written by TensorFlow; set "
            f"KERAS_BACKEND=tensorflow. Received: {keras.backend.backend()}"
        )
    output = metadata["output"]
    target = expected(model, output, metadata["run"]["precision"], images)
    with files.atomic_path(path) as temporary:
        write(build(model, output), temporary, format_name, metadata)
        comparison = compare(reload(format_name, temporary, images), target)
        if not comparison.is_equal:
            raise ExportError(
                f"the {format_name} export does not compute what the run's model "
                f"does: {comparison}. Allowed: {TOLERANCE:g}. It was not kept"
            )
    return comparison


def write(
    model: keras.Model, path: pathlib.Path, format_name: str, metadata: dict[str, Any]
) -> None:
    """Writes a model from `build` and its metadata, unchecked; see `export`."""
    _WRITERS[format_name](model, path, metadata)


def reload(format_name: str, path: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """Returns what an export gives, run by its own runtime in a fresh process.

    Raises:
        ExportError: If it can't be run.
    """
    with tempfile.TemporaryDirectory() as folder:
        pixels, outputs = (
            os.path.join(folder, f"{name}.npy") for name in ("in", "out")
        )
        np.save(pixels, images)
        arguments = [format_name, str(path.absolute()), pixels, outputs]
        process = subprocess.run(
            [sys.executable, runtimes.__file__, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if process.returncode:
            lines = process.stderr.strip().splitlines() or ["no message"]
            raise ExportError(
                f"the {format_name} export does not run (exit status "
                f"{process.returncode}): {lines[-1]}. It was not kept"
            )
        return np.load(outputs)


def compare(received: np.ndarray, target: np.ndarray) -> Comparison:
    """Compares outputs `[n, outputs]` with what they should be."""
    if received.shape != target.shape or received.dtype != np.float32:
        raise ExportError(
            f"the export gives {received.dtype} {received.shape}, not float32 "
            f"{target.shape}. It was not kept"
        )
    return Comparison(
        images=len(target),
        difference=float(abs(received - target).max()),
        largest=float(abs(target).max()),
        disagreements=int((received.argmax(1) != target.argmax(1)).sum()),
    )


def _rebuilt(
    model: keras.Model, rebuild: Callable[[keras.layers.Layer], keras.layers.Layer]
) -> keras.Model:
    """Returns a copy of a model, weights included, whose layers are rebuilt."""
    copy = keras.models.clone_model(model, clone_function=rebuild, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _float32(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns the same layer, without its weights, computing in float32."""
    return type(layer).from_config({**layer.get_config(), "dtype": "float32"})


def _constants_as_attributes(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns the same layer, or what stands for it in an ONNX graph.

    The constants of a `Normalization` are tensors which tf2onnx takes for further
    inputs of the graph. Those of a `Rescaling` are numbers and end up inside.
    """
    if not isinstance(layer, keras.layers.Normalization):
        return _float32(layer)
    mean = np.array(layer.input_mean, "float64").ravel()
    std = np.sqrt(np.array(layer.input_variance, "float64").ravel())
    return keras.layers.Rescaling(
        scale=(1 / std).tolist(),
        offset=(-mean / std).tolist(),
        dtype="float32",
        name=layer.name,
    )


def _write_keras(
    model: keras.Model, path: pathlib.Path, metadata: dict[str, Any]
) -> None:
    model.save(path)
    model_metadata.append_to_archive(path, metadata)


def _write_saved_model(
    model: keras.Model, path: pathlib.Path, metadata: dict[str, Any]
) -> None:
    model.export(str(path), format="tf_saved_model", verbose=False)
    # TensorFlow's name for files that it keeps with a model and does not read.
    extra = path / "assets.extra"
    extra.mkdir()
    text = model_metadata.to_json(metadata)
    (extra / model_metadata.MEMBER).write_text(text, encoding="utf-8")


def _write_litert(
    model: keras.Model, path: pathlib.Path, metadata: dict[str, Any]
) -> None:
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", verbose=False)
        # Without options, only operations that every LiteRT interpreter has.
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        path.write_bytes(converter.convert())
    model_metadata.append_to_archive(path, metadata)


def _write_onnx(
    model: keras.Model, path: pathlib.Path, metadata: dict[str, Any]
) -> None:
    import onnx

    with warnings.catch_warnings():
        # Keras looks for `np.object`, which NumPy warns of.
        warnings.filterwarnings("ignore", category=FutureWarning)
        rebuilt = _rebuilt(model, _constants_as_attributes)
        # Keras asks for the signature of a model that has never been called.
        rebuilt.export(
            str(path), format="onnx", verbose=False, input_signature=rebuilt.inputs
        )
    graph = onnx.load(str(path))
    names = [tensor.name for tensor in graph.graph.input]
    if names != ["image"]:
        raise ExportError(f"the ONNX graph needs the inputs {names}, not image alone")
    _name_output(graph.graph, metadata["output"])
    onnx.helper.set_model_props(
        graph,
        {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in metadata.items()
        },
    )
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def _name_output(graph: onnx.GraphProto, name: str) -> None:
    """Names an ONNX graph's only output and its free dimension."""
    (output,) = graph.output
    for node in graph.node:
        node.output[:] = [name if x == output.name else x for x in node.output]
        node.input[:] = [name if x == output.name else x for x in node.input]
    output.name = name
    for tensor in (*graph.input, *graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"


_WRITERS = {
    "keras": _write_keras,
    "saved_model": _write_saved_model,
    "onnx": _write_onnx,
    "litert": _write_litert,
}
