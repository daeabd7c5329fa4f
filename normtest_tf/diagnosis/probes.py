"""A copy of a network that shows the inputs of its batch normalizations.

The copy computes what the model computes, either with the stored statistics (as in
evaluation, or with a frozen backbone) or with those of each batch (as in training, but
without dropout). It is called eagerly: a large network has hundreds of layers, and
compiling it takes longer than running it a few times.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any, cast

import keras
import numpy as np
from keras import ops

from normtest_tf import errors
from normtest_tf.backbones import layers, trunk
from normtest_tf.diagnosis import checks
from normtest_tf.diagnosis.moments import MODES, STORED, Moments, Recorder


@dataclasses.dataclass(frozen=True)
class Seen:
    """What one pass over the images showed.

    Attributes:
        features: float64 `[n, features]`, what the last linear layer takes.
        moments: Of all images, for each batch normalization in the order of layers.
    """

    features: np.ndarray
    moments: tuple[Moments, ...]


class _Watched:
    """Makes a batch normalization record its inputs, and never learn from them.

    Comes before the layer's class among the bases, so that a subclass of batch
    normalization does whatever else it does, such as an activation.
    """

    mode = STORED
    recorder: Recorder | None = None

    def call(
        self,
        inputs: keras.KerasTensor,
        training: bool | None = None,
        mask: keras.KerasTensor | None = None,
    ) -> keras.KerasTensor:
        """Normalises with the statistics of `mode`."""
        del training, mask
        layer, recorder = cast("Any", self), self.recorder
        own = super().call  # type: ignore[misc]  # A layer's.
        takes = inspect.signature(own).parameters
        arguments = {"training": False} if "training" in takes else {}
        if self.mode == STORED and recorder is None:
            return own(inputs, **arguments)
        axis = layer.axis % len(inputs.shape)
        axes = [other for other in range(len(inputs.shape)) if other != axis]
        of_batch = ops.moments(inputs, axes=axes)
        if recorder is not None:
            count = int(np.prod([inputs.shape[other] for other in axes]))
            arrays = (ops.convert_to_numpy(value) for value in of_batch)
            recorder.add(count, *arrays)
        if self.mode == STORED:
            return own(inputs, **arguments)
        variables = (layer.moving_mean, layer.moving_variance)
        stored = [ops.copy(variable.value) for variable in variables]
        _assign(variables, of_batch)
        try:
            return own(inputs, **arguments)
        finally:
            _assign(variables, stored)


def _watched(kind: type[keras.layers.Layer]) -> type[keras.layers.Layer]:
    """Returns a class of batch normalization that records its inputs."""
    return type(kind.__name__, (_Watched, kind), {})


class _Convolution(keras.layers.Conv2D):
    """The first convolution: as if its inputs were padded with a colour."""

    offset: np.ndarray | None = None

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Adds `offset`, `[filters]`, to the outputs."""
        outputs = super().call(inputs)
        return outputs if self.offset is None else ops.add(outputs, self.offset)


class Probe:
    """A copy of a model that takes normalised images, for looking inside.

    Args:
        model: Functional or sequential, of one float input `[n, height, width, 3]`. It
            is not changed. A classifier at its end is left out.
        dtype: What the copy computes in.
        size: Height and width of the images, if it is known that all have one.

    Attributes:
        names: Of the batch normalizations, in the order of layers.
        has_border: Whether the first convolution takes the inputs directly, so that
            the colour of its padding can be chosen.

    Raises:
        UsageError: If the model is of another kind, or the images are too small.

    Example:
    ```python
    probe = Probe(model)
    seen = probe.see([images], mode="batch")
    seen.features.shape, seen.moments[0].mean.shape
    ```
    """

    def __init__(
        self,
        model: keras.Model,
        dtype: str = "float32",
        size: tuple[int, int] | None = None,
    ) -> None:
        checks.check_model(model)
        features, _ = trunk.without_head(model)
        network = keras.Model(model.inputs[0], features)
        first = _first_convolution(network)
        copy, clones = _copy(network, first, dtype, size)
        self._network, self._dtype = copy, dtype
        self._first = None if first is None else clones.get(id(first))
        self._norms: list[Any] = [
            layer for layer in layers.leaves(copy) if isinstance(layer, _Watched)
        ]
        self.names = _unique([layer.name for layer in self._norms])
        self.has_border = self._first is not None

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that differ: only one without batch normalization."""
        return MODES if self._norms else (STORED,)

    def see(
        self, batches: Iterable[np.ndarray], mode: str, *, record: bool = True
    ) -> Seen:
        """Passes images through the network.

        Args:
            batches: Normalised images, float `[b, height, width, 3]` each.
            mode: `stored` or `batch`.
            record: Whether to return moments, which take time.

        Returns:
            Features and moments over all batches.

        Raises:
            UsageError: If a feature is not finite, or the images are too small.
        """
        recorders = [Recorder() for _ in self._norms] if record else []
        for place, layer in enumerate(self._norms):
            layer.mode = mode
            layer.recorder = recorders[place] if record else None
        features = np.concatenate([self._features(batch) for batch in batches])
        if not np.all(np.isfinite(features)):
            raise errors.UsageError(
                "the network's features are not finite; check the weights, the "
                "statistics that the images are normalised with, and that the images "
                "are not too small for it"
            )
        return Seen(features, tuple(recorder.moments() for recorder in recorders))

    def _features(self, batch: np.ndarray) -> np.ndarray:
        """Returns the pooled features of a batch, float64 `[b, features]`."""
        try:
            outputs = self._network(ops.cast(batch, self._dtype), training=False)
        except Exception as error:  # Backends raise what they like.
            height, width = batch.shape[1:3]
            raise errors.UsageError(
                f"the network can't compute features of images of {height}x{width} "
                f"({_cause(error)}); larger ones may do"
            ) from error
        array = ops.convert_to_numpy(outputs).astype(np.float64)
        return array.reshape(len(array), -1, array.shape[-1]).mean(axis=1)

    def stored(self) -> tuple[Moments, ...]:
        """Returns the running statistics of each batch normalization."""
        return tuple(
            Moments(*(_array(v) for v in (layer.moving_mean, layer.moving_variance)))
            for layer in self._norms
        )

    def store(self, moments: Sequence[Moments]) -> None:
        """Overwrites the copy's running statistics."""
        for layer, new in zip(self._norms, moments, strict=True):
            layer.moving_mean.assign(new.mean)
            layer.moving_variance.assign(new.variance)

    def epsilons(self) -> list[float]:
        """Returns what each batch normalization adds to variances."""
        return [float(layer.epsilon) for layer in self._norms]

    def pad_with(self, color: np.ndarray | None) -> None:
        """Makes the first convolution behave as if padded with a colour.

        A convolution of z padded with c is that of z - c padded with 0, plus the sum of
        the kernel times c. The images passed to `see` must be z - c; this sets what is
        added.

        Args:
            color: float `[3]`, as the network's inputs; None for nothing.
        """
        if self._first is None:
            raise ValueError("the network has no border to choose. Received: a colour")
        kernel = _array(self._first.kernel)
        self._first.offset = (
            None
            if color is None
            else np.einsum("hwcf,c->f", kernel, color).astype(self._dtype)
        )


def _assign(variables: Sequence[keras.Variable], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _array(variable: keras.Variable) -> np.ndarray:
    return ops.convert_to_numpy(variable.value).astype(np.float64)


_Copied = tuple[keras.Model, dict[int, keras.layers.Layer]]


def _copy(
    network: keras.Model,
    first: keras.layers.Layer | None,
    dtype: str,
    size: tuple[int, int] | None,
) -> _Copied:
    """As `_clone`, for images of a size; what fails becomes a `UsageError`."""
    try:
        copy, clones = _clone(network, first, dtype, size)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        if size is not None:
            _copy(network, first, dtype, None)  # Raises unless the size is the cause.
            raise errors.UsageError(
                f"the model can't take images of {size[0]}x{size[1]} "
                f"({_cause(error)}); pass larger ones"
            ) from error
        raise errors.UsageError(
            f"can't copy the model ({_cause(error)}); give layers of your own a "
            "`get_config` that makes them anew"
        ) from error
    return copy, clones


def _clone(
    network: keras.Model,
    first: keras.layers.Layer | None,
    dtype: str,
    size: tuple[int, int] | None,
) -> _Copied:
    """Copies a network with its weights; returns also layers by their originals' id."""
    clones: dict[int, keras.layers.Layer] = {}

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if "dtype" in config:
            config["dtype"] = dtype
        kind = type(layer)
        if isinstance(layer, keras.layers.BatchNormalization):
            kind = _watched(kind)
        elif layer is first:
            kind = _Convolution
        clones[id(layer)] = kind.from_config(config)
        return clones[id(layer)]

    sides = network.inputs[0].shape[1:3] if size is None else size
    copy = keras.models.clone_model(
        network,
        input_tensors=keras.Input((*sides, 3), dtype=dtype),
        clone_function=clone,
        recursive=True,
    )
    copy.set_weights(network.get_weights())
    return copy, clones


def _cause(error: Exception) -> str:
    """Returns an error's message without terminal codes and names of kernels."""
    return re.sub(r"\x1b\[\d*m|\{\{.*?\}\} *", "", errors.first_cause(error))


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Numbers names that several layers share."""
    return tuple(
        f"{name}:{names[:place].count(name) + 1}" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    )


def _first_convolution(model: keras.Model) -> keras.layers.Layer | None:
    """Returns the only layer that takes the inputs, behind their padding.

    None where the inputs go elsewhere, too, or through other layers first, or the layer
    is no plain linear convolution: then its padding can't be replaced exactly.
    """
    tensor = model.inputs[0]
    while True:
        takers = [
            (layer, node)
            for layer in model.operations
            for node in layer._inbound_nodes
            if any(given is tensor for given in node.input_tensors)
        ]
        if len(takers) != 1:
            return None
        ((layer, node),) = takers
        if isinstance(layer, keras.Sequential):
            layer = layer._functional
        if isinstance(layer, keras.Model):
            return _first_convolution(layer)
        if type(layer) is not keras.layers.ZeroPadding2D:
            break
        (tensor,) = node.output_tensors
    is_linear = getattr(layer, "activation", None) is keras.activations.linear
    plain = type(layer) is keras.layers.Conv2D and is_linear and layer.groups == 1
    return layer if plain else None
