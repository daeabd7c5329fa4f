"""The devices that a run trains on, and the model that trains on all of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from normtest_tf import errors
from normtest_tf.text import Notify
from normtest_tf.training import choices

if TYPE_CHECKING:
    import jax


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices that share each batch; a single one without a strategy."""

    names: tuple[str, ...] = ("default",)

    def spread(self, make: Callable[[], keras.Model]) -> keras.Model:
        """Returns the model that `make` creates; its training uses all devices."""
        if len(self.names) == 1:
            return make()
        distribution = _WholeBatches(devices=self.names)
        with distribution.scope():
            return _Sharded(make(), distribution)


def find(strategy: str, batch_size: int, notify: Notify) -> Devices:
    """Returns the devices that a run trains on; says so if there is only one."""
    if strategy == choices.NONE:
        return Devices()
    names = tuple(keras.distribution.list_devices())
    if len(names) == 1:
        notify(f"--strategy={strategy} finds one device, {names[0]}: nothing changes")
    elif batch_size % len(names):
        raise errors.UsageError(
            f"--batch_size must be a multiple of the number of devices, {len(names)} "
            f"here, with --strategy={strategy}. Received: {batch_size}"
        )
    return Devices(names)


def scope_of(model: keras.Model) -> contextlib.AbstractContextManager[object]:
    """Returns where a model's optimizer has to be created."""
    if isinstance(model, _Sharded):
        return model.distribution.scope()
    return contextlib.nullcontext()


class _WholeBatches(keras.distribution.DataParallel):
    """Gives each device whole batches; the program says which part it computes.

    JAX can't divide a batch unevenly, and Keras decides once, by the first batch.
    """

    def get_data_layout(self, data_shape: tuple[int, ...]) -> object:
        axes = [None] * len(data_shape)
        return keras.distribution.TensorLayout(axes, self.device_mesh)

    def shared(self, data_shape: tuple[int, ...]) -> object:
        """Returns the layout of a batch of which each device has a part."""
        return super().get_data_layout(data_shape)


class _Sharded(keras.Model):
    """Computes what one device would, batch statistics included, up to rounding.

    Each device computes the whole of a batch that can't be shared evenly, such as a
    short last one.
    """

    def __init__(self, model: keras.Model, distribution: _WholeBatches) -> None:
        super().__init__(model.inputs, model.outputs[0], name=model.name)
        self.distribution = distribution

    def fit(self, *args: object, **options: object) -> object:
        with self.distribution.scope():
            return super().fit(*args, **options)

    def predict(self, *args: object, **options: object) -> np.ndarray:
        with self.distribution.scope():
            return super().predict(*args, **options)

    def train_step(self, state: Any, data: tuple[jax.Array, ...]) -> Any:  # noqa: ANN401  (Keras's)
        if len(data[0]) % self.distribution.num_model_replicas == 0:
            shared = self.distribution.shared
            distribute = keras.distribution.distribute_tensor
            data = tuple(distribute(each, shared(each.shape)) for each in data)
        return super().train_step(state, data)
