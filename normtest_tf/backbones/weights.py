"""Weights files: finding, reading and writing them.

Every format is read as a mapping from names to arrays. Nothing in a file is unpickled
or deserialised: a `.keras` file is a zip archive with a `model.weights.h5` in it. In
front of a network's names there may be a prefix, such as PyTorch's `module.`, or
`layers/functional/` where the network is part of a Keras model. Our own layers are
named after PyTorch's modules, with underscores for dots, so timm's files need no table
of names.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import hashlib
import io
import json
import os
import pathlib
import re
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import ml_dtypes  # Also makes NumPy understand bfloat16.
import numpy as np

from normtest_tf import errors
from normtest_tf.system import files
from normtest_tf.text import Notify

if TYPE_CHECKING:
    import keras

HUB_FILE = "model.safetensors"  # What the Hugging Face Hub calls a network's weights.
RUN_MODEL = "model.keras"  # In the folder of a finished run.
INDEX_SUFFIX = ".safetensors.index.json"
_PYTORCHS = (".safetensors", INDEX_SUFFIX)
SUFFIXES = (*_PYTORCHS, ".weights.h5", ".h5", ".hdf5", ".keras")
_PICKLES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".pkl", ".tar", ".bin.index.json")
_PART = re.compile(r"(.+)-\d+-of-(?!0*1\.)\d+\.safetensors", re.IGNORECASE)
_FLOATS = ("float16", "bfloat16", "float32", "float64")
_OTHER = "does it hold another network's weights?"
# torchvision's DenseNet files call `denselayer1.norm.1.weight` what its code and timm's
# files call `denselayer1.norm1.weight`.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
_CONSTANTS = [(), (3,), (3,)]  # Shapes in a `Normalization` layer for RGB, sorted.

Shape: TypeAlias = tuple[int, ...]
Arrays: TypeAlias = dict[str, np.ndarray]
Variables: TypeAlias = "dict[str, keras.Variable]"


def locate(path: pathlib.Path) -> pathlib.Path | None:
    """Finds the file that a path stands for; None if there is nothing.

    It is a weights file; the index of several, also for one of these; or what a folder
    holds: an index, a `model.safetensors`, or the model of a finished run.
    """
    if os.path.isdir(path):  # Unlike pathlib's, it never raises.
        with _refusing(path):
            names = sorted(os.listdir(path))
        known = (RUN_MODEL, HUB_FILE)
        found = [one for one in names if one in known or one.endswith(INDEX_SUFFIX)]
        if len(found) != 1:
            raise errors.UsageError(
                f"{path} holds {' and '.join(found) or 'no weights'}. Allowed: the "
                f"path of a file ({', '.join(SUFFIXES)}), or a folder with one "
                f"{HUB_FILE}, *{INDEX_SUFFIX}, or {RUN_MODEL} of a finished run"
            )
        return path / found[0]
    if not os.path.isfile(path):
        return None
    if part := _PART.fullmatch(path.name):
        return path.with_name(part[1] + INDEX_SUFFIX)
    if path.name.lower().endswith(_PICKLES):
        raise errors.UsageError(
            f"{path} is a pickle of PyTorch, which can run code and is never opened; "
            "save its tensors with safetensors.torch.save_file (docs/models.md has a "
            "command for that)"
        )
    if not path.name.lower().endswith(SUFFIXES):
        raise errors.UsageError(
            f"{path} does not look like a weights file. Allowed: {', '.join(SUFFIXES)}"
        )
    return path


def is_pytorchs(path: pathlib.Path) -> bool:
    """Tells whether a file, by its name, holds tensors as PyTorch names them."""
    return path.name.lower().endswith(_PYTORCHS)


def sha256(path: pathlib.Path) -> str:
    """Returns the digest of a file from `locate`, in hexadecimal.

    Of an index, it is that of what `sha256sum` prints for the files that it lists,
    sorted by name.
    """
    if not path.name.lower().endswith(INDEX_SUFFIX):
        with _refusing(path):
            status = path.stat()  # Tells versions of a file apart.
            return _digest(path.absolute(), status.st_size, status.st_mtime_ns)
    with _refusing(path):
        lines = [f"{sha256(part)}  {part.name}\n" for part in _parts(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@functools.cache
def _digest(path: pathlib.Path, _size: int, _mtime_ns: int) -> str:
    return files.sha256(path)


def load_file(
    model: keras.Model, path: pathlib.Path, notify: Notify = warnings.warn
) -> None:
    """Loads a file of one of `SUFFIXES` into a functional model.

    `notify` is called with what is left out: a classifier that is not the model's, or
    the constants of a `Normalization` layer that the model lacks. A `UsageError` leaves
    the model unchanged.
    """
    with _refusing(path):
        name_variables, arrays, labels = _open(path)
        variables, notes = _match(path, arrays, labels, name_variables(model))
        values = [
            (variable, _checked(path, name, arrays[name], variable))
            for name, variable in variables.items()
        ]
    for variable, value in values:
        variable.assign(value)
    for note in notes:
        notify(note)


@contextlib.contextmanager
def _refusing(path: pathlib.Path) -> Iterator[None]:
    """Turns whatever goes wrong in reading a file into a `UsageError`."""
    try:
        yield
    except errors.UsageError:
        raise
    except Exception as error:  # safetensors, h5py and zipfile have a dozen kinds.
        raise errors.unreadable(path, error, "download or write it again") from error


def _open(
    path: pathlib.Path,
) -> tuple[Callable[[keras.Model], Variables], Arrays, dict[str, str]]:
    """Returns how a file names a model's variables, its arrays, and layers' labels."""
    import h5py

    if is_pytorchs(path):
        return variables_by_tensor, _pytorchs(path), {}
    content: Any = path
    if path.name.lower().endswith(".keras"):
        with zipfile.ZipFile(path) as archive:
            content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        root = file.get("model_weights", file)
        if "layer_names" in root.attrs:
            return _keras_2_variables, dict(_keras_2s(root)), {}
        return _keras_3_variables, *_keras_3s(file)


def _pytorchs(path: pathlib.Path) -> Arrays:
    """Returns the tensors of a safetensors file, or of all that an index lists."""
    from safetensors.numpy import load_file as read

    return {
        _OLD_DENSENET.sub(r"\1\2", key): from_pytorch(tensor)
        for part in _parts(path)
        for key, tensor in read(part).items()
        if not key.endswith(".num_batches_tracked")  # A counter that nothing needs.
    }


def _parts(path: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files that an index lists, all beside it; of another file, itself."""
    if not path.name.lower().endswith(INDEX_SUFFIX):
        return [path]
    names = set(json.loads(path.read_bytes())["weight_map"].values())
    return sorted(path.with_name(pathlib.PureWindowsPath(name).name) for name in names)


def _keras_2s(root: Any) -> Iterator[tuple[str, np.ndarray]]:  # noqa: ANN401  (of h5py)
    """Yields the arrays of Keras 2's layout, by their layer and position in it."""
    for name in root.attrs["layer_names"]:
        layer = name.decode() if isinstance(name, bytes) else name
        for index, weight in enumerate(root[layer].attrs["weight_names"]):
            yield f"{layer}/{index}", np.asarray(root[layer][weight])


def _keras_3s(file: Any) -> tuple[Arrays, dict[str, str]]:  # noqa: ANN401  (of h5py)
    """Returns the arrays of Keras 3's layout by path, and their layers' names."""
    arrays: Arrays = {}
    labels: dict[str, str] = {}
    paths: list[str] = []
    file.visit(paths.append)
    for path in paths:
        is_variable = path.startswith("layers/") and path[-1].isdigit()
        if is_variable and "/vars/" in path and "/seed_generator" not in path:
            values = np.asarray(file[path])
            # HDF5 has no bfloat16, so Keras marks it.
            is_bfloat16 = file[path].attrs.get("dtype") == "bfloat16"
            arrays[path] = values.view(ml_dtypes.bfloat16) if is_bfloat16 else values
            if name := file[path].parent.attrs.get("name"):
                labels[_layer(path)] = str(name)
    return arrays, labels


def _keras_2_variables(model: keras.Model) -> Variables:
    """Returns a model's variables as Keras 2's files name them."""
    variables: Variables = {}
    for layer in model.layers:
        ordered = layer.trainable_weights + layer.non_trainable_weights
        variables |= {f"{layer.name}/{index}": v for index, v in enumerate(ordered)}
    return variables


def _keras_3_variables(model: keras.Model, prefix: str = "") -> Variables:
    """Returns a model's variables as Keras 3's files name them, by classes."""
    variables: Variables = {}
    counts: collections.Counter[str] = collections.Counter()
    for layer in model.layers:
        kind = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
        kind = re.sub("([a-z])([A-Z])", r"\1_\2", kind).lower()
        name = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
        path = f"{prefix}layers/{name}/"
        if hasattr(layer, "layers"):  # As in ConvNeXts.
            variables |= _keras_3_variables(layer, path)
            continue
        variables |= {f"{path}vars/{i}": v for i, v in enumerate(layer.weights)}
    return variables


def _match(
    path: pathlib.Path, arrays: Arrays, labels: Mapping[str, str], variables: Variables
) -> tuple[Variables, list[str]]:
    """Returns a model's variables by their names in a file, and what is left out."""
    head = _head(variables)
    prefix = _prefix(path, arrays, {k for k in variables if _layer(k) != head})
    wanted = {prefix + name: variable for name, variable in variables.items()}
    expected = {name: tuple(variable.shape) for name, variable in wanted.items()}
    layers: dict[str, dict[str, Shape]] = {}
    for name, array in arrays.items():
        layers.setdefault(_layer(name), {})[name] = array.shape
    strange = {k: v for k, v in layers.items() if not v.items() <= expected.items()}
    heads = _heads(strange, expected, prefix, head)
    outside = {layer for layer in strange if not layer.startswith(prefix)}
    constants = {
        k for k in strange.keys() - outside if sorted(strange[k].values()) == _CONSTANTS
    }
    skipped = heads | outside | constants
    wanted = {k: v for k, v in wanted.items() if _layer(k) not in skipped}
    received = {k for k in arrays if _layer(k) not in skipped}
    for problem, names in (
        ("lacks", wanted.keys() - received),
        ("has the unknown", received - wanted.keys()),
    ):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise errors.UsageError(f"{path} {problem} {min(names)!r}{more}; {_OTHER}")
    notes = []
    if prefix.endswith("."):
        notes = [f"took the prefix {prefix!r} off the tensors' names in {path.name}"]
    for kind, found in (("preprocessing", constants), ("classifier", heads)):
        if found:
            listed = " and ".join(sorted(repr(labels.get(k, k)) for k in found))
            notes.append(f"skipped the {kind} {listed} in {path.name}")
    return wanted, notes


def _layer(name: str) -> str:
    """Returns what the names of all arrays of a layer begin with."""
    return re.sub(r"[./][^./]*$", "", name)


def _head(variables: Variables) -> str:
    """Returns a model's last layer with weights if it is a classifier, or nothing."""
    last = _layer(next(reversed(variables)))
    shapes = [tuple(v.shape) for name, v in variables.items() if _layer(name) == last]
    return last if _is_dense(shapes) else ""


def _is_dense(shapes: Collection[Shape]) -> bool:
    """Tells whether a layer is dense, or the 1x1 convolution that does the same."""
    if len(shapes) != 2:
        return False
    bias, kernel = sorted(shapes, key=len)
    is_kernel = len(kernel) > 1 and kernel[:-2] in ((), (1, 1))
    return is_kernel and bias == kernel[-1:]


def _heads(
    strange: Mapping[str, Mapping[str, Shape]],
    expected: Mapping[str, Shape],
    prefix: str,
    head: str,
) -> set[str]:
    """Returns the classifiers in a file that a model lacks or has in another size.

    Several dense layers may make one classifier, but not several convolutions.
    """
    modules = {name.removeprefix(prefix).partition(".")[0] for name in expected}
    dense: set[str] = set()
    convolutions: set[str] = set()
    for layer, shapes in strange.items():
        if layer == prefix + head:
            fits = shapes.keys() <= expected.keys() and all(
                expected[k][:-1] == shapes[k][:-1] for k in shapes
            )
        else:  # PyTorch's squeeze-and-excitation is dense layers inside of modules.
            module = layer.removeprefix(prefix).partition(".")[0]
            fits = not shapes.keys() & expected.keys() and module not in modules
        if fits and _is_dense(shapes.values()):
            is_convolution = max(map(len, shapes.values())) == 4
            (convolutions if is_convolution else dense).add(layer)
    return dense or (convolutions if len(convolutions) == 1 else set())


def _prefix(
    path: pathlib.Path, received: Iterable[str], expected: Collection[str]
) -> str:
    """Finds the prefix under which a file has all names of a network.

    Where none has them all, the one with most of them gives the most helpful message.
    """
    found = collections.Counter(
        name[:end]
        for name in received
        for end in (0, *(match.end() for match in re.finditer("[./]", name)))
        if name[end:] in expected
    )
    whole = sorted(prefix for prefix in found if found[prefix] == len(expected))
    if "" in whole or not found:
        return ""
    if len(whole) > 1:
        raise errors.UsageError(
            f"{path} holds this network {len(whole)} times, under the prefixes "
            f"{', '.join(map(repr, whole[:4]))}; write a file with one of them"
        )
    prefix, count = found.most_common(1)[0]
    return prefix if count > len(expected) / 2 else ""


def _checked(
    path: pathlib.Path, name: str, value: np.ndarray, variable: keras.Variable
) -> np.ndarray:
    """Returns a file's value for a variable, or raises if it can't be used."""
    if value.shape != tuple(variable.shape):
        raise errors.UsageError(
            f"{path}: {name!r} has shape {list(value.shape)}, expected "
            f"{list(variable.shape)}; {_OTHER}"
        )
    if value.dtype.name not in _FLOATS:
        allowed = ", ".join(_FLOATS)
        raise errors.UsageError(
            f"{path}: {name!r} has dtype {value.dtype}. Allowed: {allowed}"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # Refused as not finite.
        value = value.astype(np.promote_types(np.float32, variable.dtype))
    check_values(path, name, value, variable)
    return value


def check_values(
    path: pathlib.Path, name: str, value: np.ndarray, variable: keras.Variable
) -> None:
    """Raises `UsageError` if a network with these values would compute NaNs."""
    negative = variable.name == "moving_variance" and value.min() < 0
    if negative or not np.isfinite(value).all():
        problem = "negative variances" if negative else "values that are not finite"
        raise errors.UsageError(
            f"{path}: {name!r} has {problem}; choose other weights, such as those of "
            "an earlier epoch"
        )


def save_file(
    model: keras.Model | Mapping[str, keras.Variable],
    path: pathlib.Path,
    dtype: str = "float32",
) -> None:
    """Writes a model, or variables by the names of PyTorch's tensors, as timm does."""
    import keras
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
    import keras

    tensors: dict[str, keras.Variable] = {}
    for layer in model.layers:
        module = layer.name.replace("_", ".")
        if hasattr(layer, "gamma"):
            tensors[f"{module}.weight"] = layer.gamma
            tensors[f"{module}.bias"] = layer.beta
            if isinstance(layer, keras.layers.BatchNormalization):
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
