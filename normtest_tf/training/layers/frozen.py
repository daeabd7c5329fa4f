"""A layer that computes as in evaluation while the model around it trains."""

from __future__ import annotations

import keras
from keras import ops


class Frozen(keras.layers.Layer):
    """Computes as another layer or model does in evaluation, and never changes it.

    `trainable=False` alone is not enough: dropout would still drop. Gradients stop
    here, so nothing is computed or kept for those of the layer's own weights.

    Args:
        layer: The layer; it is not copied.
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__(name=layer.name, autocast=False)
        layer.trainable = False
        self.layer = layer
        self.built = True

    def call(
        self,
        inputs: keras.KerasTensor,
        training: bool | None = None,
        mask: keras.KerasTensor | None = None,
    ) -> keras.KerasTensor:
        """Returns the layer's outputs in evaluation mode, whatever `training` says."""
        return ops.stop_gradient(self.layer(inputs, training=False))
