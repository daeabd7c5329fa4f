"""The user's own networks: models in `.keras` files, named by `--model=PATH.keras`.

`describe` reads a file's configuration only, without Keras, so that a command line can
be checked at once. `build` loads the model in Keras's safe mode, cuts its classifier
off, since a run has a head of its own, and copies the rest.
"""

from __future__ import annotations

import json
import pathlib
import re
import warnings
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from normtest_tf import errors
from normtest_tf.backbones import registry, weights
from normtest_tf.backbones.registry import Architecture
from normtest_tf.system import files
from normtest_tf.text import Notify, counted

if TYPE_CHECKING:
    import keras

_ILLEGAL = re.compile(r"[^A-Za-z0-9_.\\>-]")  # In TensorFlow's names.
# `builtins` is where Keras says that functions and plain types come from.
_STOCK = ("keras", "builtins")
# Older versions of Keras load some of these in safe mode.
_CODE = (
    *("Lambda", "__lambda__"),
    *("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"),
)
# The layers of every run's model, `classifier`; see `training.classifier`. An export of
# a run has a member of its own; see `runs.metadata`.
_OF_A_RUN = {"image", "normalization", "head"}
_EXPORTED = "normtest_tf.json"
_PER_255 = ",".join([str(1 / 255)] * 3)
_RAW = f"--pretrain_mean=0,0,0 --pretrain_std={_PER_255}"


def _layer_name(name: str) -> str:
    """Returns a layer's name as TensorFlow accepts it: `é` becomes `_`."""
    name = _ILLEGAL.sub("_", name)
    return name if name[:1].isalnum() or name[:1] == "." else f"layer{name}"


def describe(model: str) -> Architecture:
    """Describes the network in a file, which has no tags: its weights are in it.

    Raises `UsageError` if there is no such file, or if it holds custom classes, code or
    the model of a run.
    """
    path = files.expand(model)
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            exported = _EXPORTED in archive.namelist()
        layers = {str(one["config"]["name"]) for one in config["config"]["layers"]}
        of_a_run = config["config"]["name"] == "classifier" and layers >= _OF_A_RUN
    except Exception as error:  # zipfile and json have several kinds.
        advice = "name a functional or sequential model that Keras 3 saved, PATH.keras"
        raise errors.unreadable(path, error, advice) from error
    check_stock(path, config)
    if exported or of_a_run:
        raise errors.UsageError(
            f"{path} is the model of a run, which takes raw pixels and normalises them "
            f"itself; to start from its weights, pass --model=NAME --weights={path}; "
            "if the run started from a file, see docs/models.md"
        )
    name = registry.slug(model)
    return Architecture(
        name=name,
        builder=f"{__name__}:build",
        tags={},
        options={"path": path, "name": _layer_name(name)},
        min_size=1,
        file=path,
    )


def check_stock(path: pathlib.Path, config: object) -> None:
    """Raises `UsageError` if a model's configuration holds custom classes or code."""
    for name in _custom(config):
        raise errors.UsageError(
            f"{path} has the custom class {name!r}, which plain Keras lacks or does "
            "not run; save a model of stock Keras layers instead"
        )


def _custom(config: object) -> Iterator[str]:
    """Yields the classes in a configuration that are not Keras's own, or hold code."""
    if isinstance(config, dict):
        name, module = config.get("class_name"), config.get("module")
        if isinstance(name, str):
            is_stock = module is None or str(module).partition(".")[0] in _STOCK
            is_registered = ">" in str(config.get("registered_name"))
            is_called = name == "function" and module != "builtins"
            if not is_stock or is_registered or is_called or name in _CODE:
                yield name[:80]
        config = list(config.values())
    for value in config if isinstance(config, list) else []:
        yield from _custom(value)


def build(
    path: pathlib.Path,
    name: str,
    input_shape: tuple[int, int, int],
    *,
    with_weights: bool = True,
    notify: Notify = warnings.warn,
) -> keras.Model:
    """Builds the backbone in a file that `describe` accepts, as a feature extractor.

    Its layers compute under the global dtype policy, except for those that normalise
    its inputs, which are float32; all of them can be trained. `notify` is called with
    what was taken off, and with what its layers do that a run does as well.
    """
    import keras

    from normtest_tf.backbones import trunk

    saved = _load(path)
    _check_ends(path, saved, input_shape)
    features, head = trunk.without_head(saved)
    if len(features.shape) == 4:
        features = keras.layers.GlobalAveragePooling2D(
            data_format="channels_last", name="global_pool"
        )(features)
    if len(features.shape) != 2 or features.shape[-1] is None:
        raise errors.UsageError(
            f"{path} must end in a feature map [n, height, width, channels] or in "
            f"features [n, features]. Received: {features.shape}; add a layer that "
            "pools them"
        )
    backbone = keras.Model(saved.inputs[0], features, name=name)
    for variable in backbone.weights:
        value = keras.ops.convert_to_numpy(variable)
        weights.check_values(path, variable.path, value, variable)
    notes = list(_notes(path.name, saved, head, backbone))
    try:
        built = _copy(backbone, input_shape, with_weights)
    except Exception as error:  # Layers have their own kinds.
        height, width, _ = input_shape
        raise errors.UsageError(
            f"can't build the network in {path} for images of {height}x{width} pixels "
            f"({errors.first_cause(error)}); try larger images, or a model of other "
            "layers"
        ) from error
    for note in notes:
        notify(note)
    return built


def _load(path: pathlib.Path) -> keras.Model:
    """Loads the model in a file, uncompiled, without running code in it."""
    import keras

    try:
        with zipfile.ZipFile(path) as archive, warnings.catch_warnings():
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} in it is damaged")
            warnings.simplefilter("ignore")
            return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras, h5py and zipfile have a dozen kinds.
        # Keras's own messages quote whole files.
        cause = ValueError(errors.first_cause(error))
        advice = "save a model of stock layers with Keras 3"
        raise errors.unreadable(path, cause, advice) from error


def _check_ends(
    path: pathlib.Path, model: keras.Model, input_shape: tuple[int, int, int]
) -> None:
    """Raises unless a model takes one RGB image of this size, and has one output."""
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", [])]
    outputs = len(getattr(model, "outputs", []))
    if [shape[3:] for shape in shapes] != [(3,)] or outputs != 1:
        raise errors.UsageError(
            f"{path} must take one RGB image, (None, height, width, 3), and have one "
            f"output. Received: inputs {shapes} and {counted(outputs, 'output')}"
        )
    sides = shapes[0][1:3]
    if any(side not in (None, input_shape[axis]) for axis, side in enumerate(sides)):
        height, width = (side or "any" for side in sides)
        raise errors.UsageError(
            f"{path} takes images of {height}x{width} pixels. Received: "
            f"{input_shape[0]}x{input_shape[1]}; pass another --image_size, or save "
            "the model with an input of (None, None, 3)"
        )


def _notes(
    name: str, saved: keras.Model, head: str | None, backbone: keras.Model
) -> Iterator[str]:
    """Yields what was taken off a model, and what it does that a run does as well."""
    import keras

    from normtest_tf.backbones import trunk

    if head is not None:
        yield f"took the classifier {head!r} off {name}"
    elif len(saved.outputs[0].shape) == 2:
        yield (
            f"nothing was taken off {name}: its output serves as features; if it ends "
            "in a classifier, save the model without it"
        )
    raw = f"if it takes pixels from 0 to 255, {_RAW} give it exactly these"
    if names := trunk.preprocessing(backbone):
        yield (
            f"{name} normalises its inputs itself, in {' and '.join(names)}, after the "
            f"setting does; {raw} under `pretrain`, and for other settings save it "
            "without these layers (see docs/models.md)"
        )
    elif not keras.backend.is_float_dtype(dtype := backbone.inputs[0].dtype):
        yield f"{name} takes {dtype} images; {raw} under `pretrain`"
    if number := _drop_regularizers(backbone):
        yield (
            f"{name} was saved with {counted(number, 'regularizer')}, which a run "
            "leaves out: its losses are mean cross-entropies"
        )


def _drop_regularizers(model: keras.Model) -> int:
    """Removes what a model adds to the loss; returns how many terms these were."""
    number = 0
    for layer in model._flatten_layers():
        for attribute, value in list(vars(layer).items()):
            if attribute.endswith("regularizer") and value is not None:
                setattr(layer, attribute, None)
                number += 1
        if type(layer).__name__ == "ActivityRegularization":
            layer.l1 = layer.l2 = 0.0  # Its configuration has these instead.
    return number


def _copy(
    model: keras.Model, input_shape: tuple[int, int, int], with_weights: bool
) -> keras.Model:
    """Copies a model for images of this size, under the global dtype policy."""
    import keras

    from normtest_tf.backbones import layers

    for layer in model._flatten_layers():
        layer.name = _layer_name(layer.name)
    built = keras.models.clone_model(
        model,
        input_tensors=keras.Input(input_shape),
        clone_function=_clone,
        recursive=True,
    )
    pairs = zip(layers.leaves(built), layers.leaves(model), strict=True)
    for ours, theirs in pairs if with_weights else ():
        if not isinstance(theirs, keras.layers.Normalization):  # It has constants.
            ours.set_weights(theirs.get_weights())
    return built


def _clone(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Makes a layer of the copy, without its weights."""
    import keras

    from normtest_tf.backbones import trunk

    config = layer.get_config()
    if not isinstance(layer, keras.layers.Layer):
        return type(layer).from_config(config)
    exact = type(layer).__name__ in trunk.PREPROCESSING
    policy = "float32" if exact else keras.config.dtype_policy()
    if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None:
        for part in ("mean", "variance"):  # Adapted: as weights, copies ignore them.
            values = getattr(layer, f"adapt_{part}")
            config[part] = keras.ops.convert_to_numpy(values).tolist()
    # Not all constructors take all of the base class's arguments.
    config |= {"dtype": policy} if "dtype" in config else {}
    copy = type(layer).from_config(config)
    copy.trainable = True
    return copy
