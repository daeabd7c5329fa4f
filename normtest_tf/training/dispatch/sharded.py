"""A model on several devices of JAX: one program, whose batches they share.

The program computes what it computes on one device, batch statistics included; only
the order of sums differs. A batch that can't be shared evenly, such as a short last
one, is computed whole by each device.
"""

from __future__ import annotations

import contextlib
from typing import Any

import jax
import keras
import numpy as np


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
