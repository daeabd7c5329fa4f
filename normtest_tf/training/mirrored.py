"""A model on several devices of TensorFlow, each of which has a copy of it.

Keras takes the mean of each device's loss, and of those the mean: a wrong one where a
short last batch is divided unevenly. Here each part has the weight of its images, and
the reported loss is summed over images like the accuracy.
"""

from __future__ import annotations

import contextlib

import keras
import numpy as np
import tensorflow as tf

from normtest_tf.training import shares


class Mirrored(keras.Model):
    """Trains as one device would, on a share of each batch per device.

    Args:
        model: A functional or sequential model whose variables were created in the
            strategy's scope.
        strategy: The devices.
    """

    def __init__(
        self, model: keras.Model, strategy: tf.distribute.MirroredStrategy
    ) -> None:
        super().__init__(model.inputs, model.outputs[0], name=model.name)
        self._strategy = strategy
        # It replaces the value of Keras's own in what is reported.
        self._exact_loss = keras.metrics.SparseCategoricalCrossentropy(
            name="loss", from_logits=True
        )

    def scope(self) -> contextlib.AbstractContextManager[object]:
        """Where the optimizer has to be created."""
        return self._strategy.scope()

    def fit(self, x: tf.data.Dataset, **options: object) -> object:
        """Trains on batches of (images, labels), each shared by all devices."""
        return super().fit(self._to_each_device(x), **options)

    def predict(self, x: tf.data.Dataset, **_: object) -> np.ndarray:
        """Returns the logits of batches of (images, labels), from the first device."""
        logits = tf.function(lambda images: self(images, training=False))
        return np.concatenate([logits(images).numpy() for images, _ in x])

    def _to_each_device(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Gives each device every batch, whole: Keras needs batches of one shape."""
        count = self._strategy.num_replicas_in_sync

        def copies(*batch: tf.Tensor) -> tf.data.Dataset:
            return tf.data.Dataset.from_tensors(batch).repeat(count)

        return self._strategy.distribute_datasets_from_function(
            lambda context: batches.flat_map(copies)
        )

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Takes a step on this device's share of a batch."""
        share = self._share(data)
        with shares.computing(share):
            return super().train_step(_part(data, share))

    def _share(self, data: tuple[tf.Tensor, tf.Tensor]) -> shares.Share:
        context = tf.distribute.get_replica_context()
        return shares.of_device(
            tf.shape(data[1])[0],
            tf.convert_to_tensor(context.replica_id_in_sync_group, tf.int32),
            context.num_replicas_in_sync,
        )

    def compute_loss(self, *args: object, **kwargs: object) -> tf.Tensor:
        """Returns what adds up to the mean over the batch, over all devices."""
        loss = super().compute_loss(*args, **kwargs)
        share = shares.current()
        if share is None:
            return loss
        # Keras has divided the mean over the share by the number of devices.
        weight = share.weight * self._strategy.num_replicas_in_sync
        return loss * tf.cast(weight, loss.dtype)

    def compute_metrics(
        self,
        x: tf.Tensor,
        y: tf.Tensor,
        y_pred: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Counts each image of a batch once."""
        if share := shares.current():
            y, y_pred = y[: share.counted], y_pred[: share.counted]
        self._exact_loss.update_state(y, y_pred)
        return super().compute_metrics(x, y, y_pred, sample_weight)


def _part(
    data: tuple[tf.Tensor, tf.Tensor], share: shares.Share
) -> tuple[tf.Tensor, ...]:
    """Returns images and labels of a share."""
    return tuple(values[share.first : share.end] for values in data)
