"""Weights in Keras's two HDF5 layouts: `.weights.h5`, and Keras 2's `.h5`.

Keras loads both silently by position where it can. Here the names and shapes in
the file are compared with the model's first, so that what does not fit is named.
"""

from __future__ import annotations

import pathlib
import tempfile
import warnings

import h5py
import keras

from normtest_tf import errors

Shapes = dict[str, tuple[int, ...]]


def load(model: keras.Model, path: pathlib.Path) -> list[str]:
    """Loads an HDF5 weights file.

    Args:
        model: The model; its variables are overwritten.
        path: The file, in either layout.

    Returns:
        Sentences on what was left out: a classifier of another size, or one
        that the model does not have.

    Raises:
        UsageError: If the file is no HDF5 weights file, or if anything but the
            classifier is missing, superfluous or misshapen.
    """
    try:
        with h5py.File(path) as file:
            legacy = "layer_names" in file.attrs or "model_weights" in file
            received = _legacy_shapes(file) if legacy else _shapes(file)
    except (OSError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise errors.UsageError(
            f"{path} is not a complete HDF5 weights file: {errors.one_line(error)}"
        ) from error
    if legacy and path.name.endswith(".weights.h5"):
        raise errors.UsageError(
            f"{path} is in Keras 2's layout; rename it to end in .h5 alone"
        )
    expected = _expected_legacy(model) if legacy else _expected(model)
    classifier = _classifier(expected, received)
    _check(_without(expected, classifier), _without(received, classifier), path)
    with warnings.catch_warnings():
        # What is skipped is the classifier, and the caller is told.
        warnings.simplefilter("ignore")
        options = {"by_name": True} if legacy else {}
        model.load_weights(path, skip_mismatch=True, **options)
    if classifier is None:
        return []
    return [f"left out the classifier {classifier!r} in {path.name}"]


def _shapes(file: h5py.File) -> Shapes:
    """Returns the shapes of all variables in a Keras 3 file, by path."""
    shapes = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            shapes[name] = tuple(item.shape)

    file.visititems(visit)
    if not shapes:
        raise KeyError("there are no variables in it")
    return shapes


def _legacy_shapes(file: h5py.File) -> Shapes:
    """Returns the shapes of all variables in a Keras 2 file, by layer and position."""
    root = file.get("model_weights", file)
    shapes = {}
    for layer in root.attrs["layer_names"]:
        group = root[layer]
        for index, weight in enumerate(group.attrs["weight_names"]):
            shapes[f"{_text(layer)}/{index}"] = tuple(group[weight].shape)
    return shapes


def _text(name: bytes | str) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else name


def _expected(model: keras.Model) -> Shapes:
    """Returns the shapes that a Keras 3 file of this model has."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.weights.h5"
        model.save_weights(path)
        with h5py.File(path) as file:
            return _shapes(file)


def _expected_legacy(model: keras.Model) -> Shapes:
    """Returns the shapes that a Keras 2 file of this model has."""
    return {
        f"{layer.name}/{index}": tuple(variable.shape)
        for layer in model.layers
        for index, variable in enumerate(layer.trainable_weights)
    } | {
        f"{layer.name}/{index + len(layer.trainable_weights)}": tuple(variable.shape)
        for layer in model.layers
        for index, variable in enumerate(layer.non_trainable_weights)
    }


def _classifier(expected: Shapes, received: Shapes) -> str | None:
    """Returns the layer in the file that is a classifier the model can't take.

    That is the only layer that differs, if its weights are those of a dense
    layer or of the 1x1 convolution that some networks use as one.
    """
    differing = {
        name.partition("/vars")[0] if "/vars" in name else name.rpartition("/")[0]
        for name in received
        if received[name] != expected.get(name)
    }
    if len(differing) != 1:
        return None
    (layer,) = differing
    shapes = [shape for name, shape in received.items() if _belongs(name, layer)]
    kernels = [shape for shape in shapes if len(shape) > 1]
    dense = len(kernels) == 1 and kernels[0][:-2] in ((), (1, 1))
    biases = [shape for shape in shapes if len(shape) == 1]
    if not (dense and biases == [kernels[0][-1:]]):
        return None
    ours = [shape for name, shape in expected.items() if _belongs(name, layer)]
    if ours and sorted(map(len, ours)) != sorted(map(len, shapes)):
        return None
    return layer


def _belongs(name: str, layer: str) -> bool:
    return name.startswith(f"{layer}/")


def _without(shapes: Shapes, layer: str | None) -> Shapes:
    """Returns the shapes of all layers but one."""
    return {k: v for k, v in shapes.items() if layer is None or not _belongs(k, layer)}


def _check(expected: Shapes, received: Shapes, path: pathlib.Path) -> None:
    """Raises if a variable is missing, superfluous or misshapen, naming the first."""
    for problem, names in (
        ("lacks", expected.keys() - received.keys()),
        ("has the unknown", received.keys() - expected.keys()),
    ):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise errors.UsageError(
                f"{path} {problem} variable {min(names)!r}{more}; is it the weights "
                "of another network?"
            )
    for name, shape in expected.items():
        if received[name] != shape:
            raise errors.UsageError(
                f"{path}: variable {name!r} has shape {list(received[name])}, expected "
                f"{list(shape)}; is it the weights of another network?"
            )
