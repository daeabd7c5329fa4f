"""The user's own networks: models in `.keras` files, named by `--model=PATH.keras`.

Everything here reads a file's configuration only, without Keras, so that a command line
can be checked at once. `surgery` turns the model into a feature extractor.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from normtest_tf import errors
from normtest_tf.backbones import registry
from normtest_tf.backbones.architecture import Architecture, Pretraining
from normtest_tf.backbones.weights import formats, keras_archive, local_files
from normtest_tf.normalization import ChannelStatistics
from normtest_tf.system import files

SUFFIX = ".keras"
PREFIX = "file-"  # Of a file's name in result paths.
HUB_PREFIX = "hub:"
_FUNCTIONAL = ("Functional", "Sequential")
# `builtins` is where Keras says that functions and plain types come from.
_KERAS_MODULES = ("keras", "builtins")
_FLAGS = "--pretrain_mean=RED,GREEN,BLUE and --pretrain_std=RED,GREEN,BLUE"
# In every run's model; see `training.classifier` and `normalization.layers`.
_OF_A_RUN = {"image", "normalization", "head"}
_NAME_OF_A_RUNS = "classifier"
# In an export of a run; see `export.metadata`.
_EXPORT_METADATA = "normtest_tf.json"
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.\\>-]")  # In TensorFlow's names.


def names_file(model: str) -> bool:
    """Tells whether `--model` names a file rather than a network of the registry."""
    return model.lower().endswith(SUFFIX)


def slug(model: str) -> str:
    """Returns a model's name as it appears in result paths.

    Args:
        model: What the user wrote: a network's name, which is returned unchanged, or
            the path of a file, which becomes `file-` and its name without suffix.

    Returns:
        A name without path separators or white space.

    Example:
    ```python
    assert model_files.slug("/data/my net.keras") == "file-my_net"
    ```
    """
    if not names_file(model):
        return model
    stem = re.split(r"[/\\]", model)[-1][: -len(SUFFIX)]
    return PREFIX + re.sub(r"[^\w.-]+", "_", stem)


def layer_name(name: str) -> str:
    """Returns a name that TensorFlow accepts for a layer.

    Args:
        name: A layer's name, or a slug.

    Returns:
        The name itself if it is legal, otherwise a similar one.

    Example:
    ```python
    assert model_files.layer_name("file-café") == "file-caf_"
    ```
    """
    name = _ILLEGAL.sub("_", name)
    return name if name[:1].isalnum() or name[:1] == "." else f"layer{name}"


def architecture(model: str) -> Architecture:
    """Describes the network in a file, without loading it.

    Args:
        model: The path of a `.keras` file.

    Returns:
        Its description. It has no tags: its weights are in the file.

    Raises:
        UsageError: If there is no such file, or if it can't hold a network that takes
            one RGB image, or is the model of a run.
    """
    path = _find(model)
    config = keras_archive.read_config(path, keras_archive.FOR_MODELS)
    _check_stock(path, config)
    _check_input(path, config)
    _check_origin(path, config)
    return Architecture(
        name=slug(model),
        builder="normtest_tf.backbones.surgery:build_from_file",
        tags={},
        options={"path": path, "name": layer_name(slug(model))},
        min_size=1,
        file=path,
    )


def pretraining(
    architecture: Architecture, statistics: ChannelStatistics | None
) -> Pretraining:
    """Describes the inputs that a file's weights expect.

    Args:
        architecture: From `architecture`.
        statistics: What the user says of them.

    Raises:
        UsageError: If the user says nothing: a file does not tell.
    """
    if statistics is None:
        raise errors.UsageError(
            f"--model={architecture.file} needs {_FLAGS}, with which its inputs were "
            "normalised in pre-training, for pixels from 0 to 1: the file does not say"
        )
    return Pretraining("file", "unknown", statistics, licence="unknown")


def refuse_paths(model: str) -> None:
    """Explains why files and folders of other kinds can't be named.

    Args:
        model: Neither a network's name nor the path of a `.keras` file.

    Raises:
        UsageError: If it is the path of something.
    """
    if not model.strip():
        return
    path = files.expand(model)
    shown = f"--model={model[:200]}"
    if os.path.isdir(path):
        raise errors.UsageError(
            f"{shown} is a folder, not a .keras file; build the model with Keras 3 "
            "(which doesn't load SavedModels), save it with model.save('PATH.keras'), "
            "and pass --model=PATH.keras"
        )
    if os.path.exists(path):
        raise errors.UsageError(
            f"{shown} is not named .keras: rename it if it is such a file; otherwise "
            f"convert it, keras.models.load_model({str(path)[:200]!r})"
            ".save('PATH.keras'), and pass --model=PATH.keras"
        )


def refuse_hub(model: str) -> None:
    """Explains why presets of KerasHub can't be named.

    Raises:
        UsageError: If a preset is named.
    """
    if model.lower().startswith(HUB_PREFIX):
        raise errors.UsageError(
            f"--model={model[:200]} is not supported: KerasHub installs only with "
            "libraries for text, TensorFlow Text among them; where you have it, save "
            "the preset's backbone, keras.Model(backbone.inputs, backbone.outputs[0]), "
            "to a .keras file, and pass --model=PATH.keras (see docs/models.md)"
        )


def _find(model: str) -> pathlib.Path:
    """Returns the path of a file that is a `.keras` archive by name and content."""
    path = files.expand(model)
    found = None if os.path.isdir(path) else local_files.locate(path)
    if found is None:
        raise errors.UsageError(
            f"--model={model[:200]} is no file. Allowed: the path of a .keras file, or "
            "a name that `python -m experiments.train --list_models` lists"
        )
    if formats.identify(found) != formats.KERAS:
        raise errors.UsageError(f"{found} is not a .keras file")
    return found


def _check_stock(path: pathlib.Path, config: dict[str, Any]) -> None:
    """Raises if a model is not functional, or not made of stock layers alone."""
    for entry in _objects(config):
        name, module = str(entry["class_name"]), entry.get("module")
        registered = str(entry.get("registered_name") or "")
        is_kerass = module is None or str(module).partition(".")[0] in _KERAS_MODULES
        if not is_kerass or ">" in registered:
            raise errors.UsageError(
                f"{path} has the custom class {name[:80]!r}"
                + (f" of {str(module)[:80]}" if module else "")
                + f", which plain Keras lacks; {keras_archive.FOR_MODELS.code}"
            )
    kind = config.get("class_name")
    if kind not in _FUNCTIONAL:
        raise errors.UsageError(
            f"{path} holds a {str(kind)[:80]}, which is neither a functional nor a "
            "sequential model, so its head can't be told from its backbone; save one "
            "of these"
        )


def _objects(config: object) -> Iterator[dict[str, Any]]:
    """Yields all objects that a configuration describes, nested ones included."""
    values = [config]  # Not by recursion: files may be nested deeply.
    while values:
        value = values.pop()
        if isinstance(value, dict):
            if isinstance(value.get("class_name"), str):
                yield value
            values.extend(reversed(value.values()))
        elif isinstance(value, list):
            values.extend(reversed(value))


def _check_input(path: pathlib.Path, config: dict[str, Any]) -> None:
    """Raises if a model does not take one RGB image."""
    inputs = _inputs(config)
    shapes = [_shape(one) for one in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] != 3:
        received = "; ".join(map(str, shapes)) or "none"
        raise errors.UsageError(
            f"{path} must take one RGB image, [n, height, width, 3], with known "
            f"channels. Received: inputs {received}"
        )


def _layers(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the descriptions of a model's layers, without those within them."""
    inner = config.get("config")
    found = inner.get("layers") if isinstance(inner, dict) else None
    return [
        layer
        for layer in (found if isinstance(found, list) else [])
        if isinstance(layer, dict) and isinstance(layer.get("config"), dict)
    ]


def _shape(config: dict[str, Any]) -> list[Any]:
    """Returns the shape of an input layer, the batch included."""
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    return list(shape) if isinstance(shape, list | tuple) else []


def _inputs(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the configurations of a model's inputs."""
    layers = _layers(config)
    return [one["config"] for one in layers if one.get("class_name") == "InputLayer"]


def _check_origin(path: pathlib.Path, config: dict[str, Any]) -> None:
    """Raises if a model is that of a run, which normalises its inputs itself."""
    exported = keras_archive.read_member(path, _EXPORT_METADATA).get("run")
    names = [str(layer["config"].get("name")) for layer in _layers(config)]
    is_a_runs = (
        config["config"].get("name") == _NAME_OF_A_RUNS
        and set(names) >= _OF_A_RUN
        and str(_inputs(config)[0].get("dtype")) == "uint8"
    )
    if not is_a_runs and not isinstance(exported, dict):
        return
    what = f"{path} is the model of a run, which takes raw pixels and normalises them"
    from_file = next((name for name in names if name.startswith(PREFIX)), None)
    if from_file is not None:
        raise errors.UsageError(
            f"{what} itself; save the network in it alone, keras.models.load_model(...)"
            f".get_layer({from_file!r}).save('PATH.keras'), and pass --model=PATH.keras"
        )
    requested = _requested(path.parent)
    recorded = exported if isinstance(exported, dict) else requested
    named = next((name for name in names if name in registry.ARCHITECTURES), None)
    network = str(recorded.get("model") or named or "<its network>")[:80]
    weights = path.parent if requested and path.name == local_files.RUN_MODEL else path
    raise errors.UsageError(
        f"{what} itself; to start from its weights, pass --model={network} "
        f"--weights={weights}"
    )


def _requested(folder: pathlib.Path) -> dict[str, Any]:
    """Returns what a run's `config.json` says was asked for; empty if there is none."""
    try:
        requested = files.read_json(folder / "config.json").get("requested")
    except errors.UsageError:
        return {}
    return requested if isinstance(requested, dict) else {}
