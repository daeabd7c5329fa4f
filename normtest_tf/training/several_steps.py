"""Several training steps in one call, so that a fast device waits less for the host.

The batches come stacked, from `pipeline.training_batches`.
Keras's own `steps_per_execution` would carry on into the next epoch where N does not
divide an epoch's batches, and on JAX it still calls the device for each.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from normtest_tf.text import Notify, ignore
from normtest_tf.training import environment


class SeveralSteps(keras.Model):
    """A functional model that trains on stacked batches, one after another.

    The state after a call is that after as many calls with a batch each.
    """

    def train_step(self, *state_and_data: Any) -> Any:  # noqa: ANN401  (a backend's own)
        """Trains on images `[steps, n, height, width, 3]` and labels `[steps, n]`.

        Returns:
            What Keras's own step returns after the last batch.
        """
        images, labels = state_and_data[-1]
        if keras.backend.backend() == "jax":
            return self._scan(state_and_data[0], images, labels)

        def step(index: int, done: int) -> int:
            keras.Model.train_step(self, (images[index], labels[index]))
            return done

        ops.fori_loop(0, ops.shape(labels)[0], step, 0)
        return self.get_metrics_result()

    def _scan(self, state: Any, images: Any, labels: Any) -> Any:  # noqa: ANN401  (JAX's trees)
        """Trains without variables: from a state to the values and the next state."""

        def step(state: Any, batch: Any) -> Any:  # noqa: ANN401  (likewise)
            values, state = keras.Model.train_step(self, state, batch)
            return state, values

        state, values = ops.scan(step, state, (images, labels))
        return {name: value[-1] for name, value in values.items()}, state


def make(
    model: keras.Model, steps_per_execution: int, notify: Notify = ignore
) -> keras.Model:
    """Returns a model of the same layers that takes several steps a call.

    Args:
        model: A functional or sequential model. It is returned itself for one step.
        steps_per_execution: The steps of a call.
        notify: Called with a line where that is slower.
    """
    if steps_per_execution == 1:
        return model
    if keras.backend.backend() == "jax" and not environment.has_gpu():
        notify(
            f"--steps_per_execution={steps_per_execution} is for GPUs; on a CPU, JAX's "
            "convolutions within a loop are many times slower"
        )
    return SeveralSteps(
        inputs=model.inputs[0], outputs=model.outputs[0], name=model.name
    )


def build_metrics(model: keras.Model) -> None:
    """Builds a compiled model's loss and metrics, which Keras would do by a batch.

    Stacked batches are not what the model itself takes.
    """
    if isinstance(model, SeveralSteps):
        labels, logits = (
            ops.zeros([1], "int32"),
            ops.zeros([1, *model.output_shape[1:]]),
        )
        model.compute_loss(y=labels, y_pred=logits)
        model.compute_metrics(None, labels, logits)
        model.reset_metrics()
