"""Weights in timm's layout, from `.safetensors` files.

A layer's name with its underscores turned into dots is the name of PyTorch's
module, so no table of names is needed.
"""

from __future__ import annotations

import pathlib
import re

import keras
import ml_dtypes  # noqa: F401  (gives NumPy the dtype bfloat16)
import numpy as np
import safetensors

from normtest_tf import errors
from normtest_tf.backbones.weights import safetensors_header

CLASSIFIERS = ("fc", "classifier")
FLOATS = ("F16", "BF16", "F32", "F64")
# Counts that PyTorch keeps and no computation here reads.
IGNORED_SUFFIX = ".num_batches_tracked"
# `denselayer1.norm.1.weight`, as torchvision's own DenseNet files call what its
# code, and timm's files, call `denselayer1.norm1.weight`.
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


def load(model: keras.Model, path: pathlib.Path) -> list[str]:
    """Loads a `.safetensors` file in timm's layout.

    Args:
        model: A functional model whose layers are named after PyTorch's modules.
        path: The file. Floats of 16, 32 or 64 bits; num_batches_tracked may be
            there or not.

    Returns:
        Sentences on what was left out: a classifier of another size, or one
        that the model does not have.

    Raises:
        UsageError: If the file is no safetensors file or its header is wrong, or
            if another tensor is missing, superfluous, misshapen, not a float or not
            finite. Numbers that are merely others can't be told without a checksum,
            nor can a transposition that keeps the shape.
    """
    variables = variables_by_tensor(model)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            stored = _stored_names(file, path)
            shapes = {
                name: tuple(file.get_slice(key).get_shape())
                for name, key in stored.items()
            }
            left_out = _left_out_classifier(variables, shapes)
            wanted = {k: v for k, v in variables.items() if k not in left_out}
            _check_names(wanted, shapes.keys() - left_out, path)
            values = [_read(file, stored[name], v, path) for name, v in wanted.items()]
    except safetensors.SafetensorError as error:
        problem = safetensors_header.fault(path) or errors.one_line(error)
        raise _incomplete(path, problem) from error
    except OSError as error:
        raise _incomplete(path, errors.one_line(error)) from error
    for variable, value in zip(wanted.values(), values, strict=True):
        variable.assign(value)
    if not left_out:
        return []
    classes = next(shapes[name][0] for name in left_out)
    return [f"left out the classifier of {classes} classes in {path.name}"]


def save(model: keras.Model, path: pathlib.Path, dtype: str = "float32") -> None:
    """Writes a model's weights in timm's layout.

    Args:
        model: A functional model whose layers are named after PyTorch's modules.
        path: The file to write.
        dtype: NumPy name of the floats in it.
    """
    from safetensors.numpy import save_file

    tensors = {
        name: np.ascontiguousarray(
            to_pytorch(keras.ops.convert_to_numpy(variable)).astype(dtype)
        )
        for name, variable in variables_by_tensor(model).items()
    }
    save_file(tensors, path)


def variables_by_tensor(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns the model's variables by the names of PyTorch's tensors."""
    tensors = {}
    for layer in model.layers:
        module = layer.name.replace("_", ".")
        if isinstance(layer, keras.layers.BatchNormalization):
            tensors[f"{module}.weight"] = layer.gamma
            tensors[f"{module}.bias"] = layer.beta
            tensors[f"{module}.running_mean"] = layer.moving_mean
            tensors[f"{module}.running_var"] = layer.moving_variance
        elif layer.weights:
            tensors[f"{module}.weight"] = layer.kernel
            if layer.use_bias:
                tensors[f"{module}.bias"] = layer.bias
    return tensors


def from_pytorch(tensor: np.ndarray) -> np.ndarray:
    """Turns [out, in, height, width] or [out, in] into Keras's order of axes."""
    if tensor.ndim == 4:
        return tensor.transpose(2, 3, 1, 0)
    return tensor.T


def to_pytorch(tensor: np.ndarray) -> np.ndarray:
    """Is the inverse of `from_pytorch`."""
    if tensor.ndim == 4:
        return tensor.transpose(3, 2, 0, 1)
    return tensor.T


def pytorch_shape(variable: keras.Variable) -> tuple[int, ...]:
    """Returns the shape of the tensor that belongs to a variable."""
    shape = tuple(variable.shape)
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]


def _incomplete(path: pathlib.Path, problem: str) -> errors.UsageError:
    return errors.UsageError(
        f"{path} is not a complete safetensors file: {problem}; download or write it "
        "again"
    )


def _stored_names(file: safetensors.safe_open, path: pathlib.Path) -> dict[str, str]:
    """Returns the names of the file's tensors by those that timm gives them."""
    if problem := safetensors_header.repeated_name(path):
        raise _incomplete(path, problem)
    stored = {}
    for name in file.keys():  # noqa: SIM118  (not a dict)
        if name.endswith(IGNORED_SUFFIX):
            continue
        new = OLD_DENSENET.sub(r"\1\2", name)
        if new in stored:
            raise errors.UsageError(
                f"{path} has tensor {new!r} under two names, {stored[new]!r} and "
                f"{name!r}; remove one"
            )
        stored[new] = name
    return stored


def _left_out_classifier(
    variables: dict[str, keras.Variable], shapes: dict[str, tuple[int, ...]]
) -> set[str]:
    """Returns the file's classifier tensors if the model can't take them."""
    for classifier in CLASSIFIERS:
        names = {f"{classifier}.weight", f"{classifier}.bias"}
        if not names <= shapes.keys():
            continue
        weight = f"{classifier}.weight"
        if weight not in variables:
            return names
        expected = pytorch_shape(variables[weight])
        received = shapes[weight]
        # Only the number of classes may differ; other features are an error.
        if received[0] != expected[0] and received[1:] == expected[1:]:
            return names
    return set()


def _check_names(
    wanted: dict[str, keras.Variable], present: set[str], path: pathlib.Path
) -> None:
    """Raises if a tensor is missing or superfluous, naming the first."""
    for problem, names in (
        ("lacks", wanted.keys() - present),
        ("has the unknown", present - wanted.keys()),
    ):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise errors.UsageError(
                f"{path} {problem} tensor {min(names)!r}{more}; is it the weights of "
                "another network?"
            )


def _read(
    file: safetensors.safe_open, name: str, variable: keras.Variable, path: pathlib.Path
) -> np.ndarray:
    """Reads one tensor as float32 in Keras's order, checked."""
    view = file.get_slice(name)
    received, expected = tuple(view.get_shape()), pytorch_shape(variable)
    if received != expected:
        raise errors.UsageError(
            f"{path}: tensor {name!r} has shape {list(received)}, expected "
            f"{list(expected)}; is it the weights of another network?"
        )
    if view.get_dtype() not in FLOATS:
        raise errors.UsageError(
            f"{path}: tensor {name!r} has dtype {view.get_dtype()}. "
            f"Allowed: {', '.join(FLOATS)}"
        )
    value = file.get_tensor(name)
    with np.errstate(over="ignore", invalid="ignore"):  # What comes of it is checked.
        value = value.astype(np.promote_types(np.float32, variable.dtype))
    if not np.isfinite(value).all():
        raise errors.UsageError(f"{path}: tensor {name!r} is not finite everywhere")
    return from_pytorch(value)
