"""The model that is exported, and how each format is written.

An export takes raw uint8 RGB images `[n, height, width, 3]`, any n, normalises them
itself, and returns float32. It computes in float32, whatever precision the run
trained in. Only timm's networks take normalised images.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from normtest_tf import backbones
from normtest_tf.backbones import layers, weights
from normtest_tf.export import cards, prediction, timm_folders
from normtest_tf.export.formats import FORMATS, ExportError
from normtest_tf.runs import metadata, model_file
from normtest_tf.runs.metadata import LOGITS, PROBABILITIES
from normtest_tf.system import files, keras_setup

if TYPE_CHECKING:
    import onnx
    import tensorflow as tf

# Of (model from `build`, path, metadata).
Writer = Callable[[keras.Model, pathlib.Path, dict[str, Any]], None]


@keras_setup.checked()
def build(model: keras.Model, output: str) -> keras.Model:
    """Returns a run's model up to an output: the same weights, float32 throughout."""
    model = in_float32(model)
    if output == LOGITS:
        return model
    if output == PROBABILITIES:
        softmax = keras.layers.Softmax(dtype="float32", name="probabilities")
        return keras.Model(model.input, softmax(model.output), name="classifier")
    features = model.get_layer("head").input
    return keras.Model(model.input, features, name="features")


@keras_setup.checked()
def in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy of a model, weights included, that computes in float32."""
    return _rebuilt(model, _float32)


def _rebuilt(
    model: keras.Model, rebuild: Callable[[keras.layers.Layer], keras.layers.Layer]
) -> keras.Model:
    """Returns a copy of a model, weights included, with each layer rebuilt."""
    copy = keras.models.clone_model(model, clone_function=rebuild, recursive=True)
    layers.copy_weights(model, copy)
    return copy


def _float32(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns a copy of a layer, without its weights, that computes in float32."""
    config = layer.get_config()
    if isinstance(layer, keras.layers.Layer):  # An operation computes as its inputs.
        config["dtype"] = "float32"
    return type(layer).from_config(config)


@keras_setup.checked()
def write(
    model: keras.Model,
    path: pathlib.Path,
    format_name: str,
    description: dict[str, Any],
) -> None:
    """Writes an export of a model from `build`, without verifying it."""
    backend = keras.backend.backend()
    if not FORMATS[format_name].by_tensorflow or backend == "tensorflow":
        WRITERS[format_name](model, path, description)
        return
    with tempfile.TemporaryDirectory() as folder:  # Another process runs `main`.
        file = os.path.join(folder, "model.keras")
        model.save(file)
        program = ("-m", "normtest_tf.export.writers")
        run_python(
            [*program, file, str(path.absolute()), format_name],
            {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(sys.path)},
            f"the {format_name} export can't be written by TensorFlow",
            json.dumps(description),
        )


def run_python(
    arguments: Sequence[str],
    variables: Mapping[str, str],
    failure: str,
    text: str | None = None,
) -> None:
    """Runs Python with `text` as its stdin; `ExportError` has its last line."""
    process = subprocess.run(
        [sys.executable, *arguments],
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, **variables},
        check=False,
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines() or ["no error message"]
        raise ExportError(f"{failure} (exit status {process.returncode}): {lines[-1]}")


def _write_keras_folder(
    model: keras.Model, path: pathlib.Path, description: dict[str, Any]
) -> None:
    path.mkdir()
    model_file.save(model, file := path / "model.keras", description)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(path)
    file.unlink()
    files.write_text(path / cards.README, cards.text(description, "keras"))


def _write_saved_model(
    model: keras.Model, path: pathlib.Path, description: dict[str, Any]
) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", _serving_function(model))
    archive.write_out(str(path), verbose=False)
    # TensorFlow's folder for files that accompany a model and that it does not read.
    extra = path / "assets.extra"
    extra.mkdir()
    files.write_json(extra / metadata.FILE_NAME, description)


def _serving_function(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a traced function of integer images that refuses any others.

    With an input signature, as `model.export` gives it, TensorFlow would cast what it
    is called with: images divided by 255 would become black.
    """
    import tensorflow as tf

    shape = model.inputs[0].shape

    def spec(dtype: str) -> tf.TensorSpec:
        return tf.TensorSpec(shape, dtype, name="image")

    @tf.function(autograph=False, input_signature=[spec("uint8")])
    def compute(image: tf.Tensor) -> tf.Tensor:
        return model(image, training=False)

    @tf.function(autograph=False)
    def serve(image: tf.Tensor) -> tf.Tensor:
        return compute(tf.cast(image, "uint8"))

    # The first is the signature; NumPy's integers are often one of the others.
    for dtype in ("uint8", "int32", "int64"):
        serve.get_concrete_function(spec(dtype))
    return serve


def _write_litert(
    model: keras.Model, path: pathlib.Path, description: dict[str, Any]
) -> None:
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", verbose=False)
        # The converter's default uses only operations that every LiteRT interpreter
        # has.
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        path.write_bytes(converter.convert())
    metadata.append_to_archive(path, description)


def _write_onnx(
    model: keras.Model, path: pathlib.Path, description: dict[str, Any]
) -> None:
    import onnx

    with warnings.catch_warnings():
        # Keras looks for `np.object`, which makes NumPy warn.
        warnings.filterwarnings("ignore", category=FutureWarning)
        rebuilt = _rebuilt(model, _onnx_layer)
        # Without a signature, Keras requires a model that has been called before.
        rebuilt.export(
            str(path), format="onnx", verbose=False, input_signature=rebuilt.inputs
        )
    file = onnx.load(str(path))
    _name_output(file.graph, description["output"])
    properties = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in description.items()
    }
    onnx.helper.set_model_props(file, properties)
    onnx.checker.check_model(file)
    onnx.save(file, str(path))


def _onnx_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns a copy of a layer, without its weights, that ONNX can express."""
    if isinstance(layer, keras.layers.Normalization):
        return as_rescaling(layer)
    return _float32(layer)


def as_rescaling(layer: keras.layers.Normalization) -> keras.layers.Rescaling:
    """Returns the `Rescaling` that computes what a `Normalization` computes.

    Of the latter's constants, which are tensors, tf2onnx makes inputs of the graph.
    """
    mean = np.array(layer.input_mean, "float64").ravel()
    std = np.sqrt(np.array(layer.input_variance, "float64").ravel())
    return keras.layers.Rescaling(
        scale=(1 / std).tolist(),
        offset=(-mean / std).tolist(),
        dtype="float32",
        name=layer.name,
    )


def _name_output(graph: onnx.GraphProto, name: str) -> None:
    """Names the only output of an ONNX graph, and its batch dimension."""
    (output,) = graph.output
    for node in graph.node:
        node.output[:] = [name if x == output.name else x for x in node.output]
        node.input[:] = [name if x == output.name else x for x in node.input]
    output.name = name
    for tensor in (*graph.input, *graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"


def _write_timm(
    model: keras.Model, path: pathlib.Path, description: dict[str, Any]
) -> None:
    _, _, backbone, head = model.layers
    variables = weights.variables_by_tensor(backbone)
    convolution = next(iter(variables)).removesuffix(".weight")
    classifier = backbones.get(description["run"]["model"]).classifier
    variables |= {f"{classifier}.weight": head.kernel, f"{classifier}.bias": head.bias}
    path.mkdir()
    weights.save_file(variables, path / timm_folders.WEIGHTS)
    values = timm_folders.config(description, convolution)
    files.write_json(path / timm_folders.CONFIG, values)
    files.write_json(path / metadata.FILE_NAME, description)
    files.write_text(path / cards.README, cards.text(description, "timm"))


WRITERS: dict[str, Writer] = {
    "keras": model_file.save,
    "keras_folder": _write_keras_folder,
    "saved_model": _write_saved_model,
    "onnx": _write_onnx,
    "litert": _write_litert,
    "timm": _write_timm,
}


def main(model: str, path: str, format_name: str) -> None:
    """Writes an export of a `.keras` file; the metadata come by stdin."""
    keras_setup.import_keras()
    loaded = prediction.load_model(pathlib.Path(model))
    write(loaded, pathlib.Path(path), format_name, json.load(sys.stdin))


if __name__ == "__main__":
    main(*sys.argv[1:])
