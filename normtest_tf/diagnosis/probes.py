"""A copy of a network that shows the inputs of its batch normalizations.

The copy computes what the model computes, either with the stored statistics (as in
evaluation, or with a frozen backbone) or with those of each batch (as in training, but
without dropout). It is called eagerly: a large network has hundreds of layers, and
compiling it takes longer than running it a few times.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from normtest_tf import errors
from normtest_tf.backbones import layers, trunk
from normtest_tf.diagnosis import distances
from normtest_tf.diagnosis.distances import BATCH, STORED, Batch, Moments
from normtest_tf.normalization import folding


@dataclasses.dataclass(frozen=True)
class Seen:
    """What one pass over the images showed."""

    features: np.ndarray  # float64 `[n, features]`, what the last linear layer takes.
    moments: tuple[Moments, ...]  # Of all images, by layer.


class _Watched:
    """A base before a batch normalization's own class: shows inputs, never learns."""

    mode = STORED
    record: Callable[[Batch], None] | None = None

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:  # noqa: ANN401  (tensors)
        """Normalises with the statistics of `mode`."""
        del training, mask
        layer: Any = self
        if self.record is not None:
            axes = [
                axis for axis in range(inputs.ndim) if axis != layer.axis % inputs.ndim
            ]
            count = int(np.prod([inputs.shape[axis] for axis in axes]))
            mean, variance = map(_array, ops.moments(inputs, axes=axes))
            self.record((count, mean, variance))
        return super().call(inputs, training=self.mode == BATCH)  # type: ignore[misc]


class _Convolution(keras.layers.Conv2D):
    """The first convolution: as if its inputs were padded with a colour."""

    offset: np.ndarray | None = None

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Adds `offset`, `[filters]`, to the outputs."""
        outputs = super().call(inputs)
        return outputs if self.offset is None else ops.add(outputs, self.offset)


class Probe:
    """A copy of a model of normalised images, for looking inside.

    A classifier at the model's end is left out, unless it is looked at as a whole.
    `names` are those of its batch normalizations, in the order of layers; `has_border`
    says whether the first convolution takes the inputs directly, so that its padding's
    colour can be chosen.
    """

    def __init__(
        self, model: keras.Model, dtype: str = "float32", *, whole: bool = False
    ) -> None:
        _check(model)
        features = model.outputs[0] if whole else trunk.without_head(model)[0]
        self._network = _copy(keras.Model(model.inputs[0], features), dtype)
        self._dtype = dtype
        own = list(layers.leaves(self._network))
        self._norms: list[Any] = [x for x in own if isinstance(x, _Watched)]
        firsts = (layer for layer in own if isinstance(layer, _Convolution))
        self._first = next(firsts, None)
        self.has_border = self._first is not None
        self.names = tuple(layer.name for layer in self._norms)
        self.epsilons = [float(layer.epsilon) for layer in self._norms]
        # Without batch normalization, they don't differ.
        self.modes = (STORED, BATCH) if self._norms else (STORED,)

    def see(
        self, batches: Iterable[np.ndarray], mode: str, *, record: bool = True
    ) -> Seen:
        """Passes batches through the network; moments, which take time, if `record`."""
        found: list[list[Batch]] = [[] for _ in self._norms]
        for layer, seen in zip(self._norms, found, strict=True):
            layer.mode = mode
            layer.record = seen.append if record else None
        features = np.concatenate([self._features(batch) for batch in batches])
        if not np.all(np.isfinite(features)):
            raise errors.UsageError(
                "the network's features are not finite; check the weights, the "
                "statistics that the images are normalised with, and that the images "
                "are not too small for it"
            )
        return Seen(features, tuple(map(distances.pooled, found)) if record else ())

    def _features(self, batch: np.ndarray) -> np.ndarray:
        """Returns the pooled features of a batch, float64 `[b, features]`."""
        outputs = self._network(ops.cast(batch, self._dtype), training=False)
        array = _array(outputs)
        return array.reshape(len(array), -1, array.shape[-1]).mean(axis=1)

    def stored(self) -> tuple[Moments, ...]:
        """Returns the running statistics of each batch normalization."""
        return tuple(
            Moments(
                _array(layer.moving_mean.value), _array(layer.moving_variance.value)
            )
            for layer in self._norms
        )

    def store(self, moments: Sequence[Moments]) -> None:
        """Overwrites the copy's running statistics."""
        for layer, new in zip(self._norms, moments, strict=True):
            layer.moving_mean.assign(new.mean)
            layer.moving_variance.assign(new.variance)

    def pad_with(self, color: np.ndarray | None) -> None:
        """Makes the first convolution behave as if padded with a colour, `[3]`.

        A convolution of z padded with c is that of z - c padded with 0, plus the sum of
        the kernel times c. The images passed to `see` must be z - c; this sets what is
        added. None for nothing.
        """
        assert self._first is not None
        offset = None
        if color is not None:
            kernel = _array(self._first.kernel.value)
            offset = np.einsum("hwcf,c->f", kernel, color).astype(self._dtype)
        self._first.offset = offset


def _array(value: Any) -> np.ndarray:  # noqa: ANN401  (a backend's tensor)
    return ops.convert_to_numpy(value).astype(np.float64)


def _check(model: keras.Model) -> None:
    """Raises `UsageError` unless a model can be looked into."""
    entries = getattr(model, "inputs", None) or []
    takes = ", ".join(f"{entry.dtype} {list(entry.shape)}" for entry in entries)
    fits = (
        len(entries) == 1
        and len(model.outputs) == 1
        and len(entries[0].shape) == 4
        and entries[0].shape[-1] == 3
        and "float" in keras.backend.standardize_dtype(entries[0].dtype)
    )
    if not fits:
        raise errors.UsageError(
            "model must be a built functional or sequential Keras model of normalised "
            "images, float [n, height, width, 3], with one output; of a classifier of "
            "pixels, pass the part behind the normalization. Received: "
            f"{type(model).__name__} of {takes or 'no input'}"
        )
    seen = {id(layer) for layer in layers.leaves(model)}
    for layer in model._flatten_layers():
        norm = isinstance(layer, keras.layers.BatchNormalization)
        opaque = isinstance(layer, keras.Model) and not getattr(layer, "inputs", None)
        if opaque or (norm and id(layer) not in seen):
            raise errors.UsageError(
                f"the model's layer {layer.name!r} can't be looked into; make it, or "
                "the layer that it is in, a functional model"
            )


def _copy(network: keras.Model, dtype: str) -> keras.Model:
    """Copies a network with its weights; what is looked at becomes a class of ours."""
    first = _plain_convolution(network)

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if "dtype" in config:
            config["dtype"] = dtype
        kind = type(layer)
        norm = isinstance(layer, keras.layers.BatchNormalization)
        if norm:
            kind = type(kind.__name__, (_Watched, kind), {})
        elif layer is first:
            kind = _Convolution
        copied = kind.from_config(config)
        if norm:  # In training mode, it keeps the statistics that it has.
            copied.momentum, copied.trainable, copied.synchronized = 1.0, True, False
        return copied

    copy = keras.models.clone_model(
        network,
        input_tensors=keras.Input(network.inputs[0].shape[1:], dtype=dtype),
        clone_function=clone,
        recursive=True,
    )
    layers.copy_weights(network, copy)
    return copy


def _plain_convolution(network: keras.Model) -> keras.layers.Layer | None:
    """Returns the linear convolution that alone takes the inputs, if there is one."""
    try:
        layer, _ = folding.first_convolution(network)
    except errors.UsageError:
        return None
    return layer if layer.activation is keras.activations.linear else None
