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
from normtest_tf.backbones.layers import CHANNELS_LAST
from normtest_tf.backbones.weights import keras_archive, mismatch, sources
from normtest_tf.normalization import ChannelStatistics
from normtest_tf.text import Notify, counted

ImageShape = tuple[int, int, int]
# What a classifier may end in, behind its last layer with weights.
_TRAILING = (
    keras.layers.Activation,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Softmax,
)
_PREPROCESSING = (keras.layers.Rescaling, keras.layers.Normalization)
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
    built = _rebuilt(path, backbone, input_shape)
    _set_weights(path, built, backbone, with_weights)
    _report(path, backbone, head, notify)
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
    features, head = _without_head(model)
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


def _without_head(model: keras.Model) -> tuple[keras.KerasTensor, str | None]:
    """Returns what a model's classifier takes, and the classifier's name.

    Without a classifier at its end, these are the model's output and None.
    """
    layer, x = _producer(model.outputs[0])
    while isinstance(layer, _TRAILING):
        layer, x = _producer(x)
    if isinstance(layer, keras.Model) and len(layer.inputs) == 1:
        inner, head = _without_head(layer)
        if head is None:
            return model.outputs[0], None
        return keras.Model(layer.inputs[0], inner, name=layer.name)(x), head
    if not _classifies(layer):
        return model.outputs[0], None
    before, y = _producer(x)
    while isinstance(before, keras.layers.Dropout):
        x = y
        before, y = _producer(x)
    return x, layer.name


def _producer(
    tensor: keras.KerasTensor,
) -> tuple[keras.layers.Layer, keras.KerasTensor]:
    """Returns the layer that computes a tensor, and what it computes it from.

    The layer of an input computes it from itself; of several inputs the first counts.
    """
    layer, node_index, _ = tensor._keras_history
    inputs = layer._inbound_nodes[node_index].input_tensors
    return layer, inputs[0] if inputs else tensor


def _classifies(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer is dense, or a 1x1 convolution of 1x1 pixels."""
    if isinstance(layer, keras.layers.Conv2D):
        return layer.kernel_size == (1, 1) and layer.output.shape[1:3] == (1, 1)
    return isinstance(layer, keras.layers.Dense) and len(layer.output.shape) == 2


def _check_values(path: pathlib.Path, model: keras.Model) -> None:
    """Raises if a weight can't be used."""
    for variable in model.weights:
        what = f"weight {variable.path!r}"
        mismatch.check_finite(path, what, keras.ops.convert_to_numpy(variable))
    sources.check_variances(model, path)


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
        raise errors.UsageError(
            f"can't build the network in {path} for images of {height}x{width} pixels "
            f"({errors.first_cause(error)}); try larger images"
        ) from error


def _clone(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Makes a layer of the copy, without its weights."""
    config = layer.get_config()
    if isinstance(layer, keras.layers.Layer):
        exact = isinstance(layer, _PREPROCESSING)
        policy = "float32" if exact else keras.config.dtype_policy()
        config |= {"dtype": policy, "trainable": True}
    return type(layer).from_config(config)


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
    for ours, theirs in zip(_leaves(built), _leaves(saved), strict=True):
        if isinstance(theirs, keras.layers.Normalization):
            ours.set_weights(theirs.get_weights())


def _leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields a model's layers in their order, those of models within it included."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


def _report(
    path: pathlib.Path, model: keras.Model, head: str | None, notify: Notify
) -> None:
    """Says what was done to a saved model, and what it does itself."""
    if head is not None:
        notify(f"took the classifier {head!r} off {path.name}")
    frozen = [one for one in _leaves(model) if one.weights and not one.trainable]
    if frozen:
        notify(
            f"{path.name} was saved with {counted(len(frozen), 'frozen layer')}; a run "
            "trains every layer"
        )
    if names := list(_preprocessing(model)):
        notify(
            f"{path.name} normalises its inputs itself, in {' and '.join(names)}, "
            f"after the setting does; if it takes pixels from 0 to 255, {_RAW} give it "
            "exactly these under `pretrain`, and for other settings save it without "
            "these layers (see docs/models.md)"
        )


def _preprocessing(model: keras.Model) -> Iterator[str]:
    """Yields the names of what a model does to its inputs before it has weights."""
    for operation in _operations(model):
        if isinstance(operation, keras.layers.Layer):
            if isinstance(operation, _PREPROCESSING):
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
