"""Weights in timm's layout, from `.safetensors` files.

Our layers are named after PyTorch's modules, with underscores for dots, so no table of
names is needed.
"""

from __future__ import annotations

import pathlib
import re
import warnings

import keras
import ml_dtypes  # noqa: F401  (adds the dtype bfloat16 to NumPy)
import numpy as np
import safetensors

from normtest_tf import errors
from normtest_tf.backbones.weights import mismatch, safetensors_header
from normtest_tf.text import Notify

CLASSIFIERS = ("fc", "classifier")
FLOATS = ("F16", "BF16", "F32", "F64")
# Counters of PyTorch that no computation here needs.
IGNORED_SUFFIX = ".num_batches_tracked"
# torchvision's DenseNet files call `denselayer1.norm.1.weight` what its code and timm's
# files call `denselayer1.norm1.weight`.
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


def load(
    model: keras.Model, path: pathlib.Path, notify: Notify = warnings.warn
) -> None:
    """Loads a `.safetensors` file in timm's layout.

    Args:
        model: A functional model whose layers are named after PyTorch's modules.
        path: The file, of floats of 16, 32 or 64 bits, with or without
            `num_batches_tracked`.
        notify: Called with a message if the file's classifier was skipped, because
            its size is different or the model has none.

    Raises:
        UsageError: If the file is not a valid safetensors file, or if any other
            tensor is missing, unknown, of another shape, not of floats or not
            finite. Other finite values, or a transposition that keeps the shape,
            can't be detected without a checksum.
    """
    variables = variables_by_tensor(model)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            keys = _keys_by_name(file, path)
            shapes = {k: tuple(file.get_slice(v).get_shape()) for k, v in keys.items()}
            skipped = _skipped_classifier(variables, shapes)
            wanted = {k: v for k, v in variables.items() if k not in skipped}
            mismatch.check_names(path, "tensor", shapes.keys() - skipped, wanted)
            values = [_read(file, keys[name], v, path) for name, v in wanted.items()]
    except safetensors.SafetensorError as error:
        problem = safetensors_header.fault(path) or errors.one_line(error)
        raise _incomplete(path, problem) from error
    except OSError as error:
        raise _incomplete(path, errors.one_line(error)) from error
    for variable, value in zip(wanted.values(), values, strict=True):
        variable.assign(value)
    if skipped:
        classes = next(shapes[name][0] for name in skipped)
        notify(f"skipped the classifier of {classes} classes in {path.name}")


def save(model: keras.Model, path: pathlib.Path, dtype: str = "float32") -> None:
    """Writes a model's weights in timm's layout.

    Args:
        model: A functional model whose layers are named after PyTorch's modules.
        path: The file to write.
        dtype: NumPy's name for the type of its floats.
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
    """Returns a model's variables by the names of PyTorch's tensors.

    Args:
        model: A functional model whose layers are named after PyTorch's modules.

    Returns:
        Kernels, biases, scales, offsets and running statistics.
    """
    tensors: dict[str, keras.Variable] = {}
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
    """Moves the axes of a tensor from PyTorch's order to Keras's.

    Args:
        tensor: `[out, in, height, width]`, `[out, in]` or `[channels]`.

    Returns:
        A view: `[height, width, in, out]`, `[in, out]` or `[channels]`.
    """
    if tensor.ndim == 4:
        return tensor.transpose(2, 3, 1, 0)
    return tensor.T


def to_pytorch(tensor: np.ndarray) -> np.ndarray:
    """Moves the axes of a tensor from Keras's order to PyTorch's.

    Args:
        tensor: `[height, width, in, out]`, `[in, out]` or `[channels]`.

    Returns:
        A view: `[out, in, height, width]`, `[out, in]` or `[channels]`.
    """
    if tensor.ndim == 4:
        return tensor.transpose(3, 2, 0, 1)
    return tensor.T


def pytorch_shape(variable: keras.Variable) -> tuple[int, ...]:
    """Returns the shape of PyTorch's tensor for one of Keras's variables."""
    shape = tuple(variable.shape)
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]


def _incomplete(path: pathlib.Path, problem: str) -> errors.UsageError:
    return errors.UsageError(
        f"{path} is not a complete safetensors file: {problem}; download or write it "
        "again"
    )


def _keys_by_name(file: safetensors.safe_open, path: pathlib.Path) -> dict[str, str]:
    """Returns the names that the file gives its tensors, by timm's names."""
    if problem := safetensors_header.repeated_name(path):
        raise _incomplete(path, problem)
    keys: dict[str, str] = {}
    for key in file.keys():  # noqa: SIM118  (not a dict)
        if key.endswith(IGNORED_SUFFIX):
            continue
        name = OLD_DENSENET.sub(r"\1\2", key)
        if name in keys:
            raise errors.UsageError(
                f"{path} has tensor {name!r} under two names, {keys[name]!r} and "
                f"{key!r}; remove one"
            )
        keys[name] = key
    return keys


def _skipped_classifier(
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


def _read(
    file: safetensors.safe_open, name: str, variable: keras.Variable, path: pathlib.Path
) -> np.ndarray:
    """Reads and checks one tensor; returns it in Keras's order of axes."""
    view = file.get_slice(name)
    expected = pytorch_shape(variable)
    mismatch.check_shape(path, f"tensor {name!r}", view.get_shape(), expected)
    if view.get_dtype() not in FLOATS:
        raise errors.UsageError(
            f"{path}: tensor {name!r} has dtype {view.get_dtype()}. "
            f"Allowed: {', '.join(FLOATS)}"
        )
    value = file.get_tensor(name)
    with np.errstate(over="ignore", invalid="ignore"):  # Checked below.
        value = value.astype(np.promote_types(np.float32, variable.dtype))
    if not np.isfinite(value).all():
        raise errors.UsageError(
            f"{path}: tensor {name!r} has values that are not finite"
        )
    return from_pytorch(value)
