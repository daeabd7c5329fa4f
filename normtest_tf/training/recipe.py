"""The recipe: Adam or SGD, a cosine stepped once per epoch, cross-entropy."""

from __future__ import annotations

import dataclasses
import math

import keras
from keras import ops

from normtest_tf.training import choices

MOMENTUM = 0.9  # Of SGD.


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is trained; the defaults are those of the PyTorch study."""

    epochs: int = 50
    batch_size: int = 256  # The last batch of an epoch may be shorter.
    learning_rate: float = 1e-3  # The first epoch's; it decays to 0 along a cosine.
    optimizer: str = choices.ADAM  # Or SGD; both without weight decay.
    warmup_epochs: int = 0  # The rate rises linearly, step by step, to the cosine.


class EpochCosine(keras.optimizers.schedules.LearningRateSchedule):
    """A cosine from the initial rate to 0 that is stepped once per epoch.

    Epoch e of E has the rate `initial / 2 * (1 + cos(pi * e / E))`, like PyTorch's
    `CosineAnnealingLR(T_max=E)`; during a warm-up, step s of S has it times
    (s + 1) / S. It depends on the optimizer's iterations alone, so a resumed run can't
    get it wrong.
    """

    def __init__(
        self, initial: float, steps_per_epoch: int, epochs: int, warmup_epochs: int = 0
    ) -> None:
        self.initial = initial
        self.steps_per_epoch = steps_per_epoch
        self.epochs = epochs
        self.warmup_epochs = warmup_epochs

    def __call__(self, step: int | keras.KerasTensor) -> keras.KerasTensor:
        """Returns the rate at an iteration, counted from 0."""
        epoch = ops.cast(step // self.steps_per_epoch, keras.config.floatx())
        rate = self.initial / 2 * (1 + ops.cos(math.pi * epoch / self.epochs))
        if not self.warmup_epochs:
            return rate
        steps = self.warmup_epochs * self.steps_per_epoch
        done = ops.cast(step + 1, keras.config.floatx())
        return rate * ops.minimum(1.0, done / steps)

    def at_epoch(self, epoch: int) -> float:
        """Returns an epoch's rate, that of its last step while it warms up."""
        rate = self.initial / 2 * (1 + math.cos(math.pi * epoch / self.epochs))
        if epoch + 1 < self.warmup_epochs:
            rate *= (epoch + 1) / self.warmup_epochs
        return rate

    def get_config(self) -> dict[str, float]:
        """Returns the constructor's arguments."""
        return dict(vars(self))


class Adam(keras.optimizers.Adam):
    """Adam with PyTorch's epsilon.

    Keras adds epsilon to the root of the second moment before its bias is
    corrected ("epsilon hat" in Kingma & Ba, 2015), PyTorch afterwards, so the same
    number is up to 32 times as effective in Keras during the first steps. On
    TensorFlow one kernel updates variable and moments, in a third of the time of
    separate operations.
    """

    def update_step(
        self,
        gradient: keras.KerasTensor,
        variable: keras.Variable,
        learning_rate: keras.KerasTensor,
    ) -> None:
        """Applies one step to one variable."""
        dtype = variable.dtype
        rate, gradient, step = (
            ops.cast(x, dtype) for x in (learning_rate, gradient, self.iterations + 1)
        )
        # Casting a Python number goes through float32; conversion doesn't.
        first_power, second_power = (
            ops.power(ops.convert_to_tensor(beta, dtype), step)
            for beta in (self.beta_1, self.beta_2)
        )
        root_correction = ops.sqrt(1 - second_power)
        epsilon = self.epsilon * root_correction
        index = self._get_variable_index(variable)
        first, second = self._momentums[index], self._velocities[index]
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,  # TensorFlow's own, not Keras's.
                m=first.value.handle,
                v=second.value.handle,
                beta1_power=first_power,
                beta2_power=second_power,
                lr=rate,
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=epsilon,
                grad=gradient,
            )
            return
        self.assign_add(first, (gradient - first) * (1 - self.beta_1))
        self.assign_add(second, (ops.square(gradient) - second) * (1 - self.beta_2))
        scale = rate * root_correction / (1 - first_power)
        self.assign_sub(variable, first * scale / (ops.sqrt(second) + epsilon))


def compile_for_training(
    model: keras.Model, recipe: Recipe, training_examples: int
) -> EpochCosine:
    """Compiles a model that outputs logits; returns the learning rate's schedule."""
    steps = math.ceil(training_examples / recipe.batch_size)
    schedule = EpochCosine(
        recipe.learning_rate, steps, recipe.epochs, recipe.warmup_epochs
    )
    if recipe.optimizer == choices.SGD:
        optimizer = keras.optimizers.SGD(schedule, momentum=MOMENTUM)
    else:
        optimizer = Adam(schedule, epsilon=1e-8)
    model.compile(
        # Keras wraps it with loss scaling if the model computes in float16.
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    # Variables created during tracing would keep the graph alive.
    model.optimizer.build(model.trainable_variables)
    return schedule
