"""Cutting networks: preprocessing in front of them, and heads behind them.

A run normalises images itself and has a head of its own, so it needs what is between.
"""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Iterator

import keras
import numpy as np

from normtest_tf import errors
from normtest_tf.backbones import copies, heads
from normtest_tf.backbones.copies import PREPROCESSING, ImageShape
from normtest_tf.backbones.layers import CHANNELS_LAST
from normtest_tf.backbones.weights import keras_archive, mismatch, sources
from normtest_tf.normalization import ChannelStatistics
from normtest_tf.text import Notify, counted

# What arithmetic on an input tensor becomes, such as `inputs / 127.5 - 1`.
_ARITHMETIC = {"Add", "Divide", "Multiply", "Subtract", "TrueDivide"}
_RAW = (
    "--pretrain_mean=0,0,0 --pretrain_std="
    "0.00392156862745098,0.00392156862745098,0.00392156862745098"
)


def without_preprocessing(model: keras.Model, first_layer: str) -> keras.Model:
    """Cuts off what a model does to its inputs before a layer.

    Args:
        model: Takes images `[n, height, width, 3]`.
        first_layer: The name of the first layer to keep. All that comes before it
            leaves the images' shape as it is.

    Returns:
        A model of the same layers, from the inputs of `first_layer`.
    """
    kept = model.get_layer(first_layer).input
    return keras.Model(kept, model.output, name=model.name)


def check_preprocessing(
    model: keras.Model, first_layer: str, statistics: ChannelStatistics
) -> None:
    """Checks that a model's own preprocessing is a normalization with given constants.

    Args:
        model: Takes float pixels `[n, height, width, 3]`, from 0 to 255.
        first_layer: The layer behind its preprocessing.
        statistics: What its inputs should be normalised with.

    Raises:
        UsageError: If they are normalised otherwise, so that the weights are not those
            that the statistics were recorded for.
    """
    preprocessing = keras.Model(model.input, model.get_layer(first_layer).input)
    sides = [side or 32 for side in model.input_shape[1:3]]
    pixels = np.stack([np.zeros((*sides, 3)), np.full((*sides, 3), 255.0)])
    found = np.array(preprocessing(pixels.astype("float32")), "float64")[:, 0, 0]
    mean, std = np.array(statistics.mean), np.array(statistics.std)
    if not np.allclose(found, [-mean / std, (1 - mean) / std], rtol=1e-3, atol=1e-3):
        raise errors.UsageError(
            f"the weights of {model.name} normalise black to {found[0].tolist()} and "
            f"white to {found[1].tolist()}, not with {statistics.source}; name other "
            "weights with --weights=PATH"
        )


def preprocessing(model: keras.Model) -> list[str]:
    """Returns the names of what a model does to its inputs before it has weights.

    Args:
        model: Functional or sequential, of one input.

    Returns:
        Layers that scale or normalise, and arithmetic, each name in quotes.
    """
    return list(_preprocessing(model))


def build_from_file(
    path: pathlib.Path,
    name: str,
    input_shape: ImageShape,
    *,
    with_weights: bool = True,
    notify: Notify = warnings.warn,
) -> keras.Model:
    """Builds the backbone in a `.keras` file as a feature extractor.

    Its layers compute under the global dtype policy, except for those that normalise
    its inputs, which are float32; all of them can be trained.

    Args:
        path: A file that `model_files.architecture` accepts.
        name: The name of the model.
        input_shape: Height, width and 3.
        with_weights: Whether it has the file's weights. Otherwise they are random, but
            for the constants of `Normalization` layers.
        notify: Called with what was taken off, and with what its layers do that a run
            does as well.

    Returns:
        A model that maps float images `[n, height, width, 3]` to features
        `[n, features]`.

    Raises:
        UsageError: If the file can't be loaded, or holds no backbone for such images.
    """
    saved = keras_archive.load(path, keras_archive.FOR_MODELS)
    _check_size(path, saved, input_shape)
    features, head = _features(path, saved)
    backbone = keras.Model(saved.inputs[0], features, name=name)
    _check_values(path, backbone)
    notes = [_what_was_taken_off(path, saved, head), *_notes(path, backbone)]
    built = copies.make(path, backbone, input_shape, with_weights=with_weights)
    for note in filter(None, notes):
        notify(note)
    return built


def _check_size(
    path: pathlib.Path, model: keras.Model, input_shape: ImageShape
) -> None:
    """Raises unless the model takes one image of this size, and has one output."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise errors.UsageError(
            f"{path} must have one input and one output. Received: "
            f"{len(model.inputs)} and {len(model.outputs)}; save a model from the "
            "image to one of its outputs"
        )
    wanted, (height, width, _) = model.inputs[0].shape[1:3], input_shape
    if all(w in (None, h) for w, h in zip(wanted, (height, width), strict=True)):
        return
    square = f"pass --image_size={wanted[0]}, or "
    raise errors.UsageError(
        f"{path} takes images of {'x'.join(str(side or 'any') for side in wanted)} "
        f"pixels. Received: {height}x{width}; "
        + (square if wanted[0] == wanted[1] else "")
        + "save the model with an input of (None, None, 3)"
    )


def _features(
    path: pathlib.Path, model: keras.Model
) -> tuple[keras.KerasTensor, str | None]:
    """Returns a saved model's features `[n, features]`, and the name of its head."""
    features, head = heads.without(model)
    if len(features.shape) == 4:
        pool = keras.layers.GlobalAveragePooling2D
        features = pool(data_format=CHANNELS_LAST, name="global_pool")(features)
    if len(features.shape) != 2 or features.shape[-1] is None:
        raise errors.UsageError(
            f"{path} must end in a feature map [n, height, width, channels] or in "
            f"features [n, features]. Received: {features.shape}; add a layer that "
            "pools them"
        )
    return features, head


def _check_values(path: pathlib.Path, model: keras.Model) -> None:
    """Raises if a weight can't be used."""
    for variable in model.weights:
        what = f"weight {variable.path!r}"
        mismatch.check_finite(path, what, keras.ops.convert_to_numpy(variable))
    sources.check_variances(model, path)


def _what_was_taken_off(
    path: pathlib.Path, model: keras.Model, head: str | None
) -> str | None:
    """Returns a note on a model's classifier; None if it ends in a feature map."""
    if head is not None:
        return f"took the classifier {head!r} off {path.name}"
    has_probabilities = heads.makes_probabilities(model)
    shape = model.outputs[0].shape
    if len(shape) != 2 and not has_probabilities:
        return None
    sides = ", ".join("any" if side is None else str(side) for side in shape[1:])
    return (
        f"nothing was taken off {path.name}: its output, [n, {sides}], serves as "
        "features"
    ) + (
        "; it ends in probabilities, so save the model without its classifier if it "
        "has one"
        if has_probabilities
        else ""
    )


def _notes(path: pathlib.Path, model: keras.Model) -> Iterator[str]:
    """Yields what a run does to a saved model, and what the model does itself."""
    frozen = [one for one in copies.leaves(model) if one.weights and not one.trainable]
    if frozen:
        yield (
            f"{path.name} was saved with {counted(len(frozen), 'frozen layer')}; a run "
            "trains every layer"
        )
    if number := copies.regularizers(model):
        yield (
            f"{path.name} was saved with {counted(number, 'regularizer')}, which a run "
            "leaves out: its losses are mean cross-entropies"
        )
    if names := preprocessing(model):
        yield (
            f"{path.name} normalises its inputs itself, in {' and '.join(names)}, "
            f"after the setting does; if it takes pixels from 0 to 255, {_RAW} give it "
            "exactly these under `pretrain`, and for other settings save it without "
            "these layers (see docs/models.md)"
        )
    elif not keras.backend.is_float_dtype(dtype := model.inputs[0].dtype):
        yield (
            f"{path.name} takes {dtype} images, so probably pixels from 0 to 255; "
            f"{_RAW} give it exactly these under `pretrain`"
        )


def _preprocessing(model: keras.Model) -> Iterator[str]:
    """Yields the names of what a model does to its inputs before it has weights."""
    for operation in _operations(model):
        if isinstance(operation, keras.layers.Layer):
            if isinstance(operation, PREPROCESSING):
                yield repr(operation.name)
            elif operation.weights:
                return
        elif type(operation).__name__ in _ARITHMETIC:
            yield repr(operation.name)


def _operations(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields what a model computes, in its order, within models inside it, too."""
    for operation in getattr(model, "operations", model.layers):
        if isinstance(operation, keras.Model):
            yield from _operations(operation)
        else:
            yield operation
