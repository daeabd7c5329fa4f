"""timm's layout of weights: PyTorch's names and order of axes.

Our own layers are named after PyTorch's modules, with underscores for dots, so no table
of names is needed.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import keras
import numpy as np


def save(
    model: keras.Model | Mapping[str, keras.Variable],
    path: pathlib.Path,
    dtype: str = "float32",
) -> None:
    """Writes a model, or variables by the names of PyTorch's tensors, as timm does."""
    from safetensors.numpy import save as to_bytes

    variables = model if isinstance(model, Mapping) else variables_by_tensor(model)
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
    """Returns a model's variables by the names of PyTorch's tensors."""
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
    """Moves `[out, in, ...]` to `[..., in, out]`: a view in Keras's order of axes."""
    return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T


def to_pytorch(tensor: np.ndarray) -> np.ndarray:
    """Moves `[..., in, out]` to `[out, in, ...]`: a view in PyTorch's order of axes."""
    return tensor.transpose(3, 2, 0, 1) if tensor.ndim == 4 else tensor.T


def pytorch_shape(variable: keras.Variable) -> tuple[int, ...]:
    """Returns the shape of PyTorch's tensor for one of Keras's variables."""
    shape = tuple(variable.shape)
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]
