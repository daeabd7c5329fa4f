"""Weights files: finding, reading and writing them.

Every format is read as a mapping from names to arrays. Nothing in a file is unpickled
or deserialised: a `.keras` file is a zip archive with a `model.weights.h5` in it. In
front of a network's names there may be a prefix, such as PyTorch's `module.`, or
`layers/functional/` where the network is part of a Keras model.

Importing this module does not import Keras.
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
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

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
_AGAIN = "download or write it again"
_OTHER = "does it hold another network's weights?"
# torchvision's DenseNet files call `denselayer1.norm.1.weight` what its code and timm's
# files call `denselayer1.norm1.weight`.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
_CONSTANTS = [(), (3,), (3,)]  # Shapes in a `Normalization` layer for RGB, sorted.

Shape: TypeAlias = tuple[int, ...]
Variables: TypeAlias = "dict[str, keras.Variable]"


class _Array(NamedTuple):
    """An array in a file, in Keras's order of axes; what messages call its layer."""

    shape: Shape
    read: Callable[[], np.ndarray]
    layer: str


def locate(path: pathlib.Path) -> pathlib.Path | None:
    """Finds the file that a path stands for; None if there is nothing.

    It is a weights file; the index of several, also for one of these; or what a folder
    holds: an index, a `model.safetensors`, or the model of a finished run.
    """
    if os.path.isdir(path):  # Unlike pathlib's, it never raises.
        path = _in_folder(path)
    elif not os.path.isfile(path):
        return None
    name = path.name.lower()
    if part := _PART.fullmatch(path.name):
        return path.with_name(part[1] + INDEX_SUFFIX)
    if name.endswith(_PICKLES):
        raise errors.UsageError(
            f"{path} is a pickle of PyTorch, which can run code and is never opened; "
            "save its tensors with safetensors.torch.save_file (docs/models.md has a "
            "command for that)"
        )
    if not name.endswith(SUFFIXES):
        raise errors.UsageError(
            f"{path} does not look like a weights file. Allowed: {', '.join(SUFFIXES)}"
        )
    return path


def _in_folder(folder: pathlib.Path) -> pathlib.Path:
    """Returns the one weights file in a folder."""
    with _refusing(folder):
        names = sorted(path.name for path in folder.iterdir())
    known = (RUN_MODEL, HUB_FILE)
    found = [name for name in names if name in known or name.endswith(INDEX_SUFFIX)]
    if len(found) != 1:
        raise errors.UsageError(
            f"{folder} holds {' and '.join(found) or 'no weights'}. Allowed: the path "
            f"of a file ({', '.join(SUFFIXES)}), or a folder with one {HUB_FILE}, "
            f"*{INDEX_SUFFIX}, or {RUN_MODEL} of a finished run"
        )
    return folder / found[0]


def is_pytorchs(path: pathlib.Path) -> bool:
    """Tells whether a file, by its name, holds tensors as PyTorch names them."""
    return path.name.lower().endswith(_PYTORCHS)


def sha256(path: pathlib.Path) -> str:
    """Returns the digest of a file from `locate`, in hexadecimal.

    Of an index, it is that of what `sha256sum` prints for the files that it lists,
    sorted by name.
    """
    if not path.name.lower().endswith(INDEX_SUFFIX):
        return _file_sha256(path)
    with _refusing(path):
        parts = sorted(set(_listed(path).values()))
    lines = [f"{_file_sha256(part)}  {part.name}\n" for part in parts]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_sha256(path: pathlib.Path) -> str:
    with _refusing(path):
        status = path.stat()
        return _digest(path.absolute(), status.st_size, status.st_mtime_ns)


@functools.cache
def _digest(path: pathlib.Path, size: int, mtime_ns: int) -> str:
    """Returns a file's SHA-256; size and time of change tell its versions apart."""
    return files.sha256(path)


def load_file(
    model: keras.Model, path: pathlib.Path, notify: Notify = warnings.warn
) -> None:
    """Loads a file of one of `SUFFIXES` into a functional model.

    `notify` is called with what is left out: a classifier that is not the model's, or
    the constants of a `Normalization` layer that the model lacks.

    Raises:
        UsageError: If the file can't be read, or does not hold this network exactly
            once, with finite values; the model is then unchanged. Also if a running
            variance in it is negative.
    """
    with _refusing(path), contextlib.ExitStack() as stack:
        name_variables, arrays = _open(path, stack)
        variables, notes = _match(path, arrays, name_variables(model))
        values = [
            (variable, _value(path, name, arrays[name], variable))
            for name, variable in variables.items()
        ]
    for variable, value in values:
        variable.assign(value)
    check_variances(model, path)
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
        raise errors.unreadable(path, error, _AGAIN) from error


def _open(
    path: pathlib.Path, stack: contextlib.ExitStack
) -> tuple[Callable[[keras.Model], Variables], dict[str, _Array]]:
    """Returns how a file's layout names a model's variables, and its arrays by name."""
    import h5py

    from normtest_tf.backbones import timm_layout

    if is_pytorchs(path):
        return timm_layout.variables_by_tensor, _pytorchs(path, stack)
    content: Any = path
    if path.name.lower().endswith(".keras"):
        with zipfile.ZipFile(path) as archive:
            content = io.BytesIO(archive.read("model.weights.h5"))
    file = stack.enter_context(h5py.File(content))
    root = file.get("model_weights", file)
    if "layer_names" in root.attrs:
        return _keras_2_variables, dict(_keras_2s(root))
    return _keras_3_variables, dict(_keras_3s(file))


def _pytorchs(path: pathlib.Path, stack: contextlib.ExitStack) -> dict[str, _Array]:
    """Returns the tensors of a safetensors file, or of all that an index lists."""
    from safetensors import safe_open

    from normtest_tf.backbones import timm_layout

    def read(file: safe_open, key: str) -> np.ndarray:
        return timm_layout.from_pytorch(file.get_tensor(key))

    is_index = path.name.lower().endswith(INDEX_SUFFIX)
    owners = _listed(path) if is_index else {}
    opened = {
        part: stack.enter_context(safe_open(part, framework="numpy"))
        for part in (set(owners.values()) if is_index else [path])
    }
    owners = owners or dict.fromkeys(opened[path].keys(), path)
    arrays: dict[str, _Array] = {}
    for key, part in owners.items():
        if not key.endswith(".num_batches_tracked"):  # A counter that nothing needs.
            name = _OLD_DENSENET.sub(r"\1\2", key)
            shape = tuple(opened[part].get_slice(key).get_shape())
            shape = timm_layout.from_pytorch(np.broadcast_to(0, shape)).shape
            values = functools.partial(read, opened[part], key)
            arrays[name] = _Array(shape, values, _layer(name))
    return arrays


def _listed(index: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns the file of each tensor that an index lists; all are beside it."""
    listed = json.loads(index.read_bytes())["weight_map"]
    return {
        tensor: index.with_name(pathlib.PureWindowsPath(name).name)
        for tensor, name in listed.items()
    }


def _keras_2s(root: Any) -> Iterator[tuple[str, _Array]]:  # noqa: ANN401  (of h5py)
    """Yields the arrays of Keras 2's layout, by their layer and position in it."""
    for name in root.attrs["layer_names"]:
        layer = name.decode() if isinstance(name, bytes) else name
        for index, weight in enumerate(root[layer].attrs["weight_names"]):
            yield f"{layer}/{index}", _of_hdf5(root[layer][weight], layer)


def _keras_3s(file: Any) -> Iterator[tuple[str, _Array]]:  # noqa: ANN401  (of h5py)
    """Yields the arrays of Keras 3's layout, by their paths."""
    paths: list[str] = []
    file.visit(paths.append)
    for path in paths:
        is_variable = path.startswith("layers/") and path[-1].isdigit()
        if is_variable and "/vars/" in path and "/seed_generator" not in path:
            label = file[path].parent.attrs.get("name", _layer(path))
            yield path, _of_hdf5(file[path], str(label))


def _of_hdf5(dataset: Any, layer: str) -> _Array:  # noqa: ANN401  (of h5py)
    read = functools.partial(_read_hdf5, dataset)
    return _Array(tuple(dataset.shape), read, layer)


def _read_hdf5(dataset: Any) -> np.ndarray:  # noqa: ANN401  (of h5py)
    """Reads a dataset; Keras marks bfloat16, for which HDF5 has no type."""
    values = np.asarray(dataset)
    is_bfloat16 = dataset.attrs.get("dtype") == "bfloat16"
    return values.view(ml_dtypes.bfloat16) if is_bfloat16 else values


def _keras_2_variables(model: keras.Model) -> Variables:
    """Returns a model's variables as Keras 2's files name them."""
    return {
        f"{layer.name}/{index}": variable
        for layer in model.layers
        for index, variable in enumerate(
            layer.trainable_weights + layer.non_trainable_weights
        )
    }


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
        for index, variable in enumerate(layer.weights):
            variables[f"{path}vars/{index}"] = variable
    return variables


def _match(
    path: pathlib.Path, arrays: Mapping[str, _Array], variables: Variables
) -> tuple[Variables, list[str]]:
    """Returns a model's variables by their names in a file, and notes.

    Left out is a classifier that the file has in another size.
    """
    head = _head(variables)
    prefix = _prefix(path, arrays, {k for k in variables if _layer(k) != head})
    wanted = {prefix + name: variable for name, variable in variables.items()}
    shapes = {name: tuple(variable.shape) for name, variable in wanted.items()}
    strange: dict[str, dict[str, Shape]] = {}
    for layer in {_layer(k) for k in arrays if arrays[k].shape != shapes.get(k)}:
        strange[layer] = {k: a.shape for k, a in arrays.items() if _layer(k) == layer}
    heads = _heads(strange, shapes, prefix, head)
    outside = {layer for layer in strange if not layer.startswith(prefix)}
    constants = {
        layer
        for layer in strange.keys() - outside
        if sorted(strange[layer].values()) == _CONSTANTS
    }
    skipped = heads | outside | constants
    wanted = {k: v for k, v in wanted.items() if _layer(k) not in skipped}
    _check_names(path, {k for k in arrays if _layer(k) not in skipped}, wanted)
    notes = [
        f"skipped the {kind} {_labels(arrays, found)} in {path.name}"
        for kind, found in (("preprocessing", constants), ("classifier", heads))
        if found
    ]
    if prefix.endswith("."):
        note = f"took the prefix {prefix!r} off the names of the tensors in {path.name}"
        notes.insert(0, note)
    return wanted, notes


def _layer(name: str) -> str:
    """Returns what the names of all arrays of a layer begin with."""
    return re.sub(r"[./][^./]*$", "", name)


def _labels(arrays: Mapping[str, _Array], layers: Collection[str]) -> str:
    """Returns what messages call some layers of a file."""
    labels = {array.layer for name, array in arrays.items() if _layer(name) in layers}
    return " and ".join(map(repr, sorted(labels)))


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

    Several dense layers may make one classifier, but only a single convolution may.
    """
    modules = {name.removeprefix(prefix).partition(".")[0] for name in expected}
    dense: set[str] = set()
    convolutions: set[str] = set()
    for layer, shapes in strange.items():
        if layer == prefix + head:
            fits = all(expected[k][:-1] == shapes[k][:-1] for k in shapes)
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


def _check_names(
    path: pathlib.Path, received: Collection[str], expected: Collection[str]
) -> None:
    """Raises if a name is missing or unknown."""
    for problem, names in (
        ("lacks", set(expected) - set(received)),
        ("has the unknown", set(received) - set(expected)),
    ):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise errors.UsageError(f"{path} {problem} {min(names)!r}{more}; {_OTHER}")


def _value(
    path: pathlib.Path, name: str, array: _Array, variable: keras.Variable
) -> np.ndarray:
    """Reads and checks an array."""
    if array.shape != tuple(variable.shape):
        raise errors.UsageError(
            f"{path}: {name!r} has shape {list(array.shape)}, expected "
            f"{list(variable.shape)}; {_OTHER}"
        )
    value = array.read()
    if value.dtype.name not in _FLOATS:
        raise errors.UsageError(
            f"{path}: {name!r} has dtype {value.dtype}. Allowed: {', '.join(_FLOATS)}"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # Checked below.
        value = value.astype(np.promote_types(np.float32, variable.dtype))
    check_finite(path, name, value)
    return value


def check_finite(path: pathlib.Path, name: str, value: np.ndarray) -> None:
    """Raises `UsageError` if a weight in a file has values that are not finite."""
    if not np.isfinite(value).all():
        raise errors.UsageError(
            f"{path}: {name!r} has values that are not finite; choose other weights, "
            "such as those of an earlier epoch"
        )


def check_variances(model: keras.Model, path: pathlib.Path) -> None:
    """Raises `UsageError` if a running variance is negative: its root would be NaN."""
    import keras

    for layer in model.layers:
        variance = getattr(layer, "moving_variance", None)
        if variance is not None and keras.ops.min(variance) < 0:
            raise errors.UsageError(
                f"{path}: the running variance of {layer.name!r} has negative values; "
                "choose other weights"
            )
