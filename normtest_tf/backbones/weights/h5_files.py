"""Weights in Keras's two HDF5 layouts: Keras 3's `.weights.h5` and Keras 2's `.h5`.

Keras silently loads both by position when it can. Here names and shapes are compared
with the model's first, so errors name the mismatch, and values must be finite.
"""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
import warnings
from collections.abc import Collection, Iterator

import h5py
import keras
import ml_dtypes
import numpy as np

from normtest_tf import errors
from normtest_tf.backbones.weights import local_files, mismatch
from normtest_tf.text import Notify

Shapes = dict[str, tuple[int, ...]]
Datasets = dict[str, h5py.Dataset]
_CONSTANTS: list[tuple[int, ...]] = [(), (3,), (3,)]  # Of RGB images, sorted.


def load(
    model: keras.Model, path: pathlib.Path, notify: Notify = warnings.warn
) -> None:
    """Loads an HDF5 weights file.

    Args:
        model: The model; its variables are overwritten.
        path: The file, in either layout.
        notify: Called with a message if the file's classifier was skipped, because
            its size is different or the model has none, and if the constants of a
            `Normalization` layer were, which the model does not have.

    Raises:
        UsageError: If the file is not an HDF5 weights file, or if anything but the
            classifier is missing, unknown, of another shape or not finite.
    """
    is_keras_2, received = _read_shapes(path)
    expected = _keras_2_shapes(model) if is_keras_2 else _keras_3_shapes(model)
    preprocessing = _preprocessing(expected, received)
    received = _without(received, preprocessing)
    classifier = _skipped_classifier(expected, received)
    wanted = _without(expected, classifier)
    _check(path, _without(received, classifier), wanted)
    _check_values(path, wanted)
    with warnings.catch_warnings():
        # Keras warns about the classifier that it skips; `notify` says it below.
        warnings.simplefilter("ignore")
        options = {"by_name": True} if is_keras_2 else {}
        suffix = ".h5" if is_keras_2 else ".weights.h5"
        with local_files.with_suffix(path, suffix) as file:
            model.load_weights(file, skip_mismatch=True, **options)
    if preprocessing is not None:
        notify(f"skipped the preprocessing {preprocessing!r} in {path.name}")
    if classifier is not None:
        notify(f"skipped the classifier {classifier!r} in {path.name}")


def _read_shapes(path: pathlib.Path) -> tuple[bool, Shapes]:
    """Returns whether a file is in Keras 2's layout, and its variables' shapes."""
    with _opened(path) as file:
        is_keras_2 = _is_keras_2(file)
        shapes = _shapes(_datasets(file))
    if is_keras_2 and path.name.lower().endswith(".weights.h5"):
        raise errors.UsageError(
            f"{path} is in Keras 2's layout; rename it to end in .h5 instead of "
            ".weights.h5"
        )
    return is_keras_2, shapes


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[h5py.File]:
    """Yields an open file, and turns what h5py raises about it into `UsageError`."""
    try:
        with h5py.File(path) as file:
            yield file
    except (OSError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise errors.UsageError(
            f"{path} is not a complete HDF5 weights file: {errors.one_line(error)}; "
            "download or write it again"
        ) from error


def _is_keras_2(file: h5py.File) -> bool:
    return "layer_names" in file.attrs or "model_weights" in file


def _datasets(file: h5py.File) -> Datasets:
    """Returns the variables in a file, by the names that its layout gives them."""
    return _by_position(file) if _is_keras_2(file) else _by_path(file)


def _by_path(file: h5py.File) -> Datasets:
    """Returns the variables in a Keras 3 file, by their paths."""
    datasets: Datasets = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            datasets[name] = item

    file.visititems(visit)
    if not datasets:
        raise KeyError("there are no variables in it")
    return datasets


def _by_position(file: h5py.File) -> Datasets:
    """Returns the variables in a Keras 2 file, by layer and position in it."""
    root = file.get("model_weights", file)
    return {
        f"{_text(layer)}/{index}": root[layer][weight]
        for layer in root.attrs["layer_names"]
        for index, weight in enumerate(root[layer].attrs["weight_names"])
    }


def _shapes(datasets: Datasets) -> Shapes:
    return {name: tuple(dataset.shape) for name, dataset in datasets.items()}


def _text(name: bytes | str) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else name


def _keras_3_shapes(model: keras.Model) -> Shapes:
    """Returns the shapes that a Keras 3 file of this model has."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.weights.h5"
        model.save_weights(path)
        with h5py.File(path) as file:
            return _shapes(_by_path(file))


def _keras_2_shapes(model: keras.Model) -> Shapes:
    """Returns the shapes that a Keras 2 file of this model has."""
    return {
        f"{layer.name}/{index}": tuple(variable.shape)
        for layer in model.layers
        for index, variable in enumerate(
            layer.trainable_weights + layer.non_trainable_weights
        )
    }


def _preprocessing(expected: Shapes, received: Shapes) -> str | None:
    """Returns the file's layer that normalises inputs, if the model has none.

    It is that of Keras's EfficientNets, with mean, variance and a count.
    """
    for name in received.keys() - expected.keys():
        layer = _layer(name)
        shapes = [shape for key, shape in received.items() if _belongs(key, layer)]
        if "normalization" in layer.split("/")[-1] and sorted(shapes) == _CONSTANTS:
            return layer
    return None


def _layer(name: str) -> str:
    """Returns the layer in a variable's name."""
    return name.partition("/vars")[0] if "/vars" in name else name.rpartition("/")[0]


def _skipped_classifier(expected: Shapes, received: Shapes) -> str | None:
    """Returns the file's classifier layer if the model can't take it.

    It is the only layer that differs, provided its weights are those of a dense layer
    or of the 1x1 convolution that some networks classify with.
    """
    differing = {
        _layer(name) for name in received if received[name] != expected.get(name)
    }
    if len(differing) != 1:
        return None
    (layer,) = differing
    theirs = [shape for name, shape in received.items() if _belongs(name, layer)]
    ours = [shape for name, shape in expected.items() if _belongs(name, layer)]
    if not _is_classifier(theirs):
        return None
    same_kind = sorted(map(len, ours)) == sorted(map(len, theirs))
    return layer if same_kind or not ours else None


def _is_classifier(shapes: list[tuple[int, ...]]) -> bool:
    """Tells whether a layer has the weights of a dense layer or 1x1 convolution."""
    kernels = [shape for shape in shapes if len(shape) > 1]
    biases = [shape for shape in shapes if len(shape) == 1]
    if len(kernels) != 1 or kernels[0][:-2] not in ((), (1, 1)):
        return False
    return biases == [kernels[0][-1:]]


def _belongs(name: str, layer: str) -> bool:
    return name.startswith(f"{layer}/")


def _without(shapes: Shapes, layer: str | None) -> Shapes:
    """Returns the shapes of all layers but one."""
    return {k: v for k, v in shapes.items() if layer is None or not _belongs(k, layer)}


def _check(path: pathlib.Path, received: Shapes, expected: Shapes) -> None:
    """Raises if a variable is missing, unknown or of another shape."""
    mismatch.check_names(path, "variable", received, expected)
    for name, shape in expected.items():
        mismatch.check_shape(path, f"variable {name!r}", received[name], shape)


def _check_values(path: pathlib.Path, names: Collection[str]) -> None:
    """Raises if a variable of one of these names has values that are not finite."""
    with _opened(path) as file:
        datasets = _datasets(file)
        for name in names:
            mismatch.check_finite(path, f"variable {name!r}", _values(datasets[name]))


def _values(dataset: h5py.Dataset) -> np.ndarray:
    """Returns a variable's values; Keras marks those that HDF5 has no type for."""
    values = np.array(dataset)
    is_bfloat16 = dataset.attrs.get("dtype") == "bfloat16"
    return values.view(ml_dtypes.bfloat16) if is_bfloat16 else values
