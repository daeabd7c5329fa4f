"""Weights in timm's layout, from `.safetensors` files.

Our layers are named after PyTorch's modules, with underscores for dots, so no table of
names is needed.
"""

from __future__ import annotations

import pathlib
import re
import warnings
from collections.abc import Collection, Iterable, Mapping

import keras
import numpy as np

from normtest_tf import errors
from normtest_tf.backbones.weights import mismatch, prefixes, tensor_files
from normtest_tf.backbones.weights.tensor_files import Tensors
from normtest_tf.text import Notify

Shapes = Mapping[str, tuple[int, ...]]

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
            `num_batches_tracked`; or the index of several such files. All names may
            have a prefix.
        notify: Called with a message if a prefix was taken off the names, and if the
            file's classifier was skipped, because its size is different, the model
            has none, or it is no part of the network.

    Raises:
        UsageError: If the file is not a valid safetensors file, if it holds the
            network under several prefixes, or if any other tensor is missing,
            unknown, of another shape, not of floats or not finite. Other finite
            values, or a transposition that keeps the shape, can't be detected
            without a checksum.
    """
    variables = variables_by_tensor(model)
    with tensor_files.open_tensors(path) as tensors:
        keys = _keys_by_name(tensors, path)
        shapes = {name: tensors.shape(key) for name, key in keys.items()}
        prefix = prefixes.find(path, keys, _without_classifier(variables))
        variables = {prefix + name: value for name, value in variables.items()}
        skipped = _skipped_classifier(variables, shapes, prefix)
        skipped |= _separate_classifier(shapes.keys() - skipped, variables, shapes)
        wanted = {k: v for k, v in variables.items() if k not in skipped}
        mismatch.check_names(path, "tensor", shapes.keys() - skipped, wanted)
        values = [
            _read(tensors, keys[name], variable, path)
            for name, variable in wanted.items()
        ]
    for variable, value in zip(wanted.values(), values, strict=True):
        variable.assign(value)
    if prefix:
        notify(
            f"took the prefix {prefix!r} off the names of the tensors in {path.name}"
        )
    if skipped:
        classes = shapes[min(skipped)][0]
        notify(f"skipped the classifier of {classes} classes in {path.name}")


def save(model: keras.Model, path: pathlib.Path, dtype: str = "float32") -> None:
    """Writes a model's weights in timm's layout.

    Args:
        model: A functional model whose layers are named after PyTorch's modules.
        path: The file to write.
        dtype: NumPy's name for the type of its floats.
    """
    save_variables(variables_by_tensor(model), path, dtype)


def save_variables(
    variables: Mapping[str, keras.Variable], path: pathlib.Path, dtype: str = "float32"
) -> None:
    """Writes variables in timm's layout.

    Args:
        variables: By the names of PyTorch's tensors.
        path: The file to write.
        dtype: NumPy's name for the type of its floats.
    """
    from safetensors.numpy import save as to_bytes

    tensors = {
        name: np.ascontiguousarray(
            to_pytorch(keras.ops.convert_to_numpy(variable)).astype(dtype)
        )
        for name, variable in variables.items()
    }
    # Some of PyTorch's libraries refuse files that don't say whose layout they have.
    # `save_file` would make a file that only its owner can read.
    path.write_bytes(to_bytes(tensors, metadata={"format": "pt"}))


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


def _keys_by_name(tensors: Tensors, path: pathlib.Path) -> dict[str, str]:
    """Returns the names that the file gives its tensors, by timm's names."""
    keys: dict[str, str] = {}
    for key in tensors.names():
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


def _without_classifier(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.partition(".")[0] not in CLASSIFIERS}


def _skipped_classifier(
    variables: Mapping[str, keras.Variable], shapes: Shapes, prefix: str
) -> set[str]:
    """Returns the file's classifier tensors if the model can't take them."""
    for classifier in CLASSIFIERS:
        weight = f"{prefix}{classifier}.weight"
        names = {weight, f"{prefix}{classifier}.bias"}
        if not names <= shapes.keys():
            continue
        if weight not in variables:
            return names
        expected = pytorch_shape(variables[weight])
        received = shapes[weight]
        # Only the number of classes may differ; other features are an error.
        if received[0] != expected[0] and received[1:] == expected[1:]:
            return names
    return set()


def _separate_classifier(
    names: Collection[str], variables: Mapping[str, keras.Variable], shapes: Shapes
) -> set[str]:
    """Returns the tensors of a classifier that is no part of the network.

    They are all tensors that the network lacks, provided that they are the weight
    `[classes, features]` and the bias `[classes]` of one linear layer.
    """
    extra = set(names) - variables.keys()
    weight = next((name for name in extra if name.endswith(".weight")), "")
    bias = weight.removesuffix("weight") + "bias"
    if extra != {weight, bias} or len(shapes[weight]) != 2:
        return set()
    return extra if shapes[bias] == shapes[weight][:1] else set()


def _read(
    tensors: Tensors, name: str, variable: keras.Variable, path: pathlib.Path
) -> np.ndarray:
    """Reads and checks one tensor; returns it in Keras's order of axes."""
    expected = pytorch_shape(variable)
    mismatch.check_shape(path, f"tensor {name!r}", tensors.shape(name), expected)
    dtype = tensors.dtype(name)
    if dtype not in FLOATS:
        raise errors.UsageError(
            f"{path}: tensor {name!r} has dtype {dtype}. Allowed: {', '.join(FLOATS)}"
        )
    value = tensors.read(name)
    with np.errstate(over="ignore", invalid="ignore"):  # Checked below.
        value = value.astype(np.promote_types(np.float32, variable.dtype))
    mismatch.check_finite(path, f"tensor {name!r}", value)
    return from_pytorch(value)
