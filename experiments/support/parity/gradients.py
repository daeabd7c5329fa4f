"""A training step's gradients, under every backend of Keras."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops


class Step(NamedTuple):
    """What a training step computes; the model's running statistics are updated."""

    logits: np.ndarray
    loss: np.ndarray
    gradients: list[np.ndarray]  # In the order of `model.trainable_variables`.


def of_step(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> Step:
    """Computes a training step's gradients with the current backend."""
    with_backend = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    outputs, loss, found = with_backend[keras.backend.backend()](model, images, labels)
    gradients = [ops.convert_to_numpy(gradient) for gradient in found]
    return Step(ops.convert_to_numpy(outputs), ops.convert_to_numpy(loss), gradients)


def _loss(labels: np.ndarray, outputs: Any) -> Any:  # noqa: ANN401  (any backend's)
    losses = ops.sparse_categorical_crossentropy(labels, outputs, from_logits=True)
    return ops.mean(losses)


def _tensorflow(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> tuple:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = _loss(labels, outputs)
    variables = [variable.value for variable in model.trainable_variables]
    return outputs, loss, tape.gradient(loss, variables)


def _jax(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> tuple:
    import jax

    state = [variable.value for variable in model.non_trainable_variables]

    def compute(weights: list[jax.Array]) -> tuple:
        outputs, after = model.stateless_call(weights, state, images, training=True)
        return _loss(labels, outputs), (outputs, after)

    weights = [variable.value for variable in model.trainable_variables]
    step = jax.jit(jax.value_and_grad(compute, has_aux=True))
    (loss, (outputs, after)), found = step(weights)
    for variable, value in zip(model.non_trainable_variables, after, strict=True):
        variable.assign(value)
    return outputs, loss, found


def _torch(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> tuple:
    outputs = model(images, training=True)
    loss = _loss(labels, outputs)
    loss.backward()
    return outputs, loss, [v.value.grad for v in model.trainable_variables]
