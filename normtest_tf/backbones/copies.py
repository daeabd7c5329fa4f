"""Copies of saved networks, as a run trains them: new layers, the same weights.

All layers of a copy can be trained, compute under the global dtype policy, add nothing
to the loss, and have names that TensorFlow accepts.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import keras

from normtest_tf import errors
from normtest_tf.backbones import model_files

ImageShape = tuple[int, int, int]
PREPROCESSING = (keras.layers.Rescaling, keras.layers.Normalization)


def make(
    path: pathlib.Path,
    model: keras.Model,
    input_shape: ImageShape,
    *,
    with_weights: bool,
) -> keras.Model:
    """Copies a model.

    Args:
        path: The file that it comes from.
        model: Takes images `[n, height, width, 3]`. Its layers' names and regularizers
            are overwritten.
        input_shape: Height, width and 3.
        with_weights: Whether the copy has its weights. Otherwise they are random, but
            for the constants of `Normalization` layers.

    Returns:
        The copy, for float images of this size. Layers that normalise inputs are
        float32 under every policy.

    Raises:
        UsageError: If the model can't be built for such images.
    """
    _make_names_legal(model)
    for layer, attribute in _regularizers(model):
        setattr(layer, attribute, None)
    for layer in _of_kind(model, keras.layers.ActivityRegularization):
        layer.l1 = layer.l2 = 0.0  # Its configuration has these instead.
    built = _rebuilt(path, model, input_shape)
    _set_weights(path, built, model, with_weights)
    return built


def regularizers(model: keras.Model) -> int:
    """Returns how many terms of the loss a model has."""
    return len(list(_regularizers(model)))


def leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields a model's layers in their order, those of models within it included."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def _make_names_legal(model: keras.Model) -> None:
    """Renames layers whose names TensorFlow refuses."""
    layers = list(_all(model))
    taken = {layer.name for layer in layers}
    for layer in layers:
        legal = name = model_files.layer_name(layer.name)
        number = 1
        while legal != layer.name and legal in taken:
            number += 1
            legal = f"{name}_{number}"
        taken.add(legal)
        layer.name = legal


def _regularizers(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, str]]:
    """Yields the layers that add to the loss, and the attributes that say so."""
    for layer in _all(model):
        for attribute, value in list(vars(layer).items()):
            if attribute.endswith("regularizer") and value is not None:
                yield layer, attribute


def _of_kind(
    model: keras.Model, kind: type[keras.layers.Layer]
) -> Iterator[keras.layers.Layer]:
    """Yields a model's layers of a class."""
    return (layer for layer in _all(model) if isinstance(layer, kind))


def _all(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields a model and all in it, down to layers within wrappers and cells."""
    return iter(model._flatten_layers())


def _rebuilt(
    path: pathlib.Path, model: keras.Model, input_shape: ImageShape
) -> keras.Model:
    """Returns a copy for images of this size, with new weights, under the policy."""
    try:
        return keras.models.clone_model(
            model,
            input_tensors=keras.Input(input_shape),
            clone_function=_clone,
            recursive=True,
        )
    except (ValueError, TypeError) as error:
        height, width, _ = input_shape
        is_size = isinstance(error, ValueError)
        advice = "try larger images" if is_size else "save it without such a layer"
        raise errors.UsageError(
            f"can't build the network in {path} for images of {height}x{width} pixels "
            f"({errors.first_cause(error)}); {advice}"
        ) from error


def _clone(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Makes a layer of the copy, without its weights."""
    config = layer.get_config()
    if not isinstance(layer, keras.layers.Layer):
        return type(layer).from_config(config)
    exact = isinstance(layer, PREPROCESSING)
    policy = "float32" if exact else keras.config.dtype_policy()
    # Not all constructors take all of the base class's arguments.
    config |= {"dtype": policy} if "dtype" in config else {}
    copy = type(layer).from_config(config)
    copy.trainable = True
    return copy


def _set_weights(
    path: pathlib.Path, built: keras.Model, saved: keras.Model, with_weights: bool
) -> None:
    """Gives a copy the weights of the original, or only its constants."""
    if with_weights:
        try:
            built.set_weights(saved.get_weights())
        except ValueError as error:
            raise errors.UsageError(
                f"can't copy the weights in {path} ({errors.first_cause(error)}); "
                "save the model without quantization"
            ) from error
        return
    for ours, theirs in zip(leaves(built), leaves(saved), strict=True):
        if isinstance(theirs, keras.layers.Normalization):
            ours.set_weights(theirs.get_weights())
