"""Normalization + backbone + head: one Keras model that takes raw pixels."""

from __future__ import annotations

import dataclasses
import functools
import json
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import keras
import numpy as np

from normtest_tf import backbones
from normtest_tf.backbones import layers
from normtest_tf.system import keras_setup
from normtest_tf.text import Notify
from normtest_tf.training import training_copy


@dataclasses.dataclass(frozen=True)
class Task:
    """What a classifier tells apart."""

    image_shape: tuple[int, int, int]
    num_classes: int


@keras_setup.checked()
def build_classifier(
    network: backbones.PretrainedNetwork,
    normalization: keras.layers.Layer,
    task: Task,
    *,
    seed: int,
    precision: str = "float32",
    notify: Notify = warnings.warn,
    reuse: bool = False,
) -> keras.Model:
    """Builds a classifier of raw images from stock Keras layers alone.

    Args:
        network: The backbone and its weights, from `backbones.resolve`.
        normalization: The layer from raw pixels to the backbone's inputs, from
            `normalization.Setting.layer`.
        task: The shape of the images and the number of logits.
        seed: Determines all initial weights, whatever the normalization; those of the
            head are the same on every backend.
        precision: A Keras dtype policy for the backbone. Normalization and
            logits are float32 under every policy.
        notify: Called if the classifier in a file that the user named was skipped.
        reuse: Whether the backbone may be that of the classifier before, whose weights
            are reset, if it is the same network.

    Returns:
        A model from raw RGB images, uint8 `[n, height, width, 3]`, to float32 logits.

    Raises:
        UsageError: If the images are too small for the backbone, or its weights
            can't be found, downloaded or used.

    Example:
        ```python
        task = Task(image_shape=(32, 32, 3), num_classes=10)
        model = build_classifier(
            backbones.resolve("resnet18", "none"),
            normalization_layer(IMAGENET, task.image_shape),
            task,
            seed=223,
        )
        logits = model(np.zeros([1, 32, 32, 3], "uint8"))
        ```
    """
    build = functools.partial(_backbone, network, task.image_shape, seed, precision)
    if reuse:
        kind = task.image_shape, precision
        backbone = _reused_backbone(network, kind, build, notify)
    else:
        backbone = build(notify)
    inputs = keras.Input(task.image_shape, dtype="uint8", name="image")
    features = backbone(normalization(inputs))
    head = layers.linear(
        features.shape[-1],
        task.num_classes,
        name="head",
        bias=network.architecture.head_bias,
        seed=seed,
    )
    model = keras.Model(inputs, head(features), name="classifier")
    if keras.backend.backend() != "tensorflow":
        _draw_as_tensorflow(head)
    return model


def _backbone(
    network: backbones.PretrainedNetwork,
    input_shape: tuple[int, int, int],
    seed: int,
    precision: str,
    notify: Notify,
) -> keras.Model:
    keras.utils.set_random_seed(seed)
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return network.build(input_shape, notify)
    finally:
        keras.config.set_dtype_policy(previous)


# The last reused backbone, its weights and what was said of them, by what tells it
# apart.
_built: dict[tuple, tuple[keras.Model, list[np.ndarray], list[str]]] = {}


def _reused_backbone(
    network: backbones.PretrainedNetwork,
    kind: tuple,
    build: Callable[[Notify], keras.Model],
    notify: Notify,
) -> keras.Model:
    """Returns the backbone built last, its weights as they were, unless it differs.

    It is neither named nor drawn anew: a cleared session or a new seed would make
    TensorFlow drop what it has made of traced graphs, and take seconds to repeat it.
    """
    key = network.architecture.name, network.label, network.sha256(), *kind
    if key not in _built:
        keras.utils.clear_session()  # Layers have the same names in every run.
        notes: list[str] = []
        model = build(notes.append)
        _built.clear()
        _built[key] = model, model.get_weights(), notes
    model, weights, notes = _built[key]
    model.set_weights(weights)
    for note in notes:
        notify(note)
    # A seed decides random weights, and the states of random layers.
    if network.label == "none" or len(model.variables) > len(model.weights):
        _built.clear()
    return model


def _draw_as_tensorflow(head: keras.layers.Dense) -> None:
    """Gives a head the initial weights that it has with TensorFlow."""
    import tensorflow as tf

    for variable, initializer in (
        (head.kernel, head.kernel_initializer),
        (head.bias, head.bias_initializer),
    ):
        if isinstance(initializer, keras.initializers.RandomUniform):
            seed = initializer.seed % (2**31 - 2)  # As Keras does.
            limits = initializer.minval, initializer.maxval
            with tf.device("CPU:0"):
                values = tf.random.stateless_uniform(variable.shape, [seed, 0], *limits)
            variable.assign(values.numpy())


MAX_SHARED = 4  # Copies that a process keeps for other runs of their kind.
_shared: dict[str, tuple[Any, keras.Model]] = {}
Copy = TypeVar("Copy")


def shared(
    model: keras.Model, regime: str, *, deterministic: bool = False
) -> keras.Model:
    """Returns what is trained of a model: an earlier copy if only numbers differ.

    So a process traces its graphs once, and TensorFlow leaks one for each kind of run.
    """

    def make() -> tuple[keras.Model, keras.Model]:
        copy = training_copy.make(model)
        return training_copy.freeze(copy, regime), copy

    copy = _reused(model, f"{regime} {deterministic}", make)
    copy.set_weights(model.get_weights())
    return copy


def accumulator(model: keras.Model) -> training_copy.Accumulator:
    """Returns what recalibrates a model, an earlier one if only numbers differ."""

    def make() -> tuple[training_copy.Accumulator, keras.Model]:
        made = training_copy.Accumulator(model)
        return made, made.copy

    return _reused(model, "recalibrated", make)


def _reused(
    model: keras.Model, use: str, make: Callable[[], tuple[Copy, keras.Model]]
) -> Copy:
    """Returns what was made for a model of this kind before, with its constants."""
    # Other backends make constants of what is not a weight, and a new run draws random
    # states, which are none.
    is_tensorflow = keras.backend.backend() == "tensorflow"
    if not is_tensorflow or len(model.variables) > len(model.weights):
        return make()[0]
    kind = f"{_kind(model)} {use}"
    made, copy = _shared.pop(kind, None) or make()
    for own, other in zip(_normalizations(copy), _normalizations(model), strict=True):
        own.take_constants(other)
    _shared[kind] = made, copy  # The latest comes last.
    for old in list(_shared)[:-MAX_SHARED]:
        del _shared[old]
    return made


def _kind(model: keras.Model) -> str:
    """Returns all that shapes a model's graph: not constants and initial weights."""

    def shape(values: dict[str, Any]) -> dict[str, Any]:
        numbers = {"mean", "variance"} if "invert" in values else {}
        return {
            name: value is None if name in numbers else value
            for name, value in values.items()
            if not name.endswith("_initializer")
        }

    return json.dumps(json.loads(model.to_json(), object_hook=shape))


def _normalizations(model: keras.Model) -> list[keras.layers.Normalization]:
    """Returns a model's layers whose constants are values in its copy."""
    kind = keras.layers.Normalization
    found = [layer for layer in layers.leaves(model) if isinstance(layer, kind)]
    return [layer for layer in found if layer.input_mean is not None]


@functools.lru_cache(MAX_SHARED)
def divide(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Returns all layers but the last, and the last, which share their variables."""
    features, head = model.layers[-2].output, model.layers[-1]
    inputs = keras.Input(features.shape[1:])
    return keras.Model(model.inputs, features), keras.Model(inputs, head(inputs))
