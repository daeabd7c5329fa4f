"""The devices that a run trains on, and the model that trains on all of them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from normtest_tf import errors
from normtest_tf.text import Notify
from normtest_tf.training import choices, regimes

if TYPE_CHECKING:
    import jax
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices that share each batch.

    Attributes:
        names: As the backend names them; a single one for no strategy.
        synchronises: Whether batch statistics are computed over all of them on
            TensorFlow; on JAX they always are.

    Example:
        ```python
        trained = devices.spread(lambda: training_copy.make(model))
        loop.fit(trained, recipe, data, on_row)
        ```
    """

    names: tuple[str, ...] = ("default",)
    synchronises: bool = False

    @property
    def count(self) -> int:
        """The number of devices."""
        return len(self.names)

    @property
    def with_own_statistics(self) -> int | None:
        """How many of them normalise their share of a batch with its own statistics.

        None where all normalise with those of the whole batch.
        """
        is_global = self.synchronises or keras.backend.backend() != "tensorflow"
        return None if is_global or self.count == 1 else self.count

    def spread(self, make: Callable[[], keras.Model]) -> keras.Model:
        """Makes a model whose training uses all devices.

        Args:
            make: Returns the model, from `training_copy.make` and `regimes.freeze`. Its
                variables have to be created when it is called.
        """
        if self.count == 1:
            return make()
        return _SPREAD[keras.backend.backend()](make, self)


def scope_of(model: keras.Model) -> contextlib.AbstractContextManager[object]:
    """Returns where a model's optimizer has to be created.

    Args:
        model: From `Devices.spread`, or any other.
    """
    scope = getattr(model, "scope", contextlib.nullcontext)
    return scope()


def _mirrored(make: Callable[[], keras.Model], devices: Devices) -> keras.Model:
    from normtest_tf.training.mirrored import Mirrored

    strategy = _strategy(devices.names)
    with strategy.scope():
        model = make()
        for layer in regimes.batch_normalizations(model):
            layer.synchronized = devices.synchronises
        return Mirrored(model, strategy)


@functools.cache
def _strategy(names: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    """Returns the strategy, one for all runs of a process.

    A second one would number its sums over devices as the first one does, and be taken
    for it.
    """
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(names)


def _sharded(make: Callable[[], keras.Model], devices: Devices) -> keras.Model:
    distribution = WholeBatches(devices=devices.names)
    with distribution.scope():
        return Sharded(make(), distribution)


class WholeBatches(keras.distribution.DataParallel):
    """Gives each device whole batches; the program says what it computes of them.

    JAX can't divide a batch unevenly, and Keras decides once, by the first batch.
    """

    def get_data_layout(self, data_shape: tuple[int, ...]) -> object:
        """Returns the layout of a batch with the host: a copy on each device."""
        axes = [None] * len(data_shape)
        return keras.distribution.TensorLayout(axes, self.device_mesh)

    def shared(self, data_shape: tuple[int, ...]) -> object:
        """Returns the layout of a batch of which each device has a part."""
        return super().get_data_layout(data_shape)


class Sharded(keras.Model):
    """Trains as on one device, with each batch shared by several.

    Args:
        model: A functional or sequential model whose variables were created in the
            distribution's scope.
        distribution: The devices.
    """

    def __init__(self, model: keras.Model, distribution: WholeBatches) -> None:
        super().__init__(model.inputs, model.outputs[0], name=model.name)
        self._distribution = distribution

    def scope(self) -> contextlib.AbstractContextManager[object]:
        """Where the optimizer has to be created."""
        return self._distribution.scope()

    def fit(self, *args: object, **options: object) -> object:
        """Trains on all devices."""
        with self.scope():
            return super().fit(*args, **options)

    def predict(self, *args: object, **options: object) -> np.ndarray:
        """Evaluates; every device computes the whole of a batch."""
        with self.scope():
            return super().predict(*args, **options)

    def train_step(self, state: Any, data: tuple[jax.Array, ...]) -> Any:  # noqa: ANN401  (Keras's)
        """Takes a step, of which each device computes a part."""
        return super().train_step(state, self._share(data))

    def _share(self, data: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        """Shares images and labels, if there are as many for each device."""
        if len(data[0]) % self._distribution.num_model_replicas:
            return data
        return tuple(
            keras.distribution.distribute_tensor(
                values, self._distribution.shared(values.shape)
            )
            for values in data
        )


_SPREAD = {"tensorflow": _mirrored, "jax": _sharded}


def find(
    strategy: str,
    *,
    sync_batch_norm: bool,
    batch_size: int,
    precision: str,
    notify: Notify,
) -> Devices:
    """Returns the devices that a run trains on.

    Args:
        strategy: A key of `choices.STRATEGIES`.
        sync_batch_norm: Whether batch statistics are to be those of the whole batch.
        batch_size: Images in a batch of all devices.
        precision: The Keras dtype policy of the backbone.
        notify: Called with a message if there is only one device.

    Raises:
        UsageError: If the strategy does not work with this backend, precision, batch
            size or cluster.
    """
    if strategy == choices.NONE:
        return Devices()
    choices.check_strategy(
        strategy, sync_batch_norm=sync_batch_norm, precision=precision
    )
    names = NAMES_OF[keras.backend.backend()]()
    if len(names) == 1:
        notify(f"{choices.PARALLEL} finds one device, {names[0]}, and changes nothing")
        return Devices(names)
    if batch_size % len(names):
        raise errors.UsageError(
            f"--batch_size must be a multiple of the number of devices, {len(names)} "
            f"here, with {choices.PARALLEL}. Received: {batch_size}"
        )
    return Devices(names, sync_batch_norm)


def _names_of_tensorflow() -> tuple[str, ...]:
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU")
    found = found or tf.config.list_logical_devices("CPU")
    return tuple(device.name for device in found)


def _names_of_jax() -> tuple[str, ...]:
    import jax

    if jax.process_count() > 1:
        raise errors.UsageError(
            f"{choices.PARALLEL} uses the devices of one host. Received: a JAX cluster "
            f"of {jax.process_count()} processes"
        )
    return tuple(keras.distribution.list_devices())


NAMES_OF: dict[str, Callable[[], tuple[str, ...]]] = {
    "tensorflow": _names_of_tensorflow,
    "jax": _names_of_jax,
}
