"""The recipe: epochs, batches, learning rate and optimizer, as PyTorch has them."""

from __future__ import annotations

import dataclasses
import math
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from normtest_tf.backbones import layers
from normtest_tf.training import choices, training_copy

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

    def __init__(self, recipe: Recipe, steps_per_epoch: int) -> None:
        self._values = [
            keras.Variable(0, trainable=False, dtype=dtype)
            # TensorFlow keeps 32-bit integers off a GPU; Keras's `int` has 64 there.
            for dtype in (keras.config.floatx(), "int", "int", "int")
        ]
        self.set(recipe, steps_per_epoch)

    def set(self, recipe: Recipe, steps_per_epoch: int) -> None:
        """Becomes another schedule, also in graphs that were traced with this one."""
        self.recipe, self.steps_per_epoch = recipe, steps_per_epoch
        times = recipe.epochs, recipe.warmup_epochs, steps_per_epoch
        values = recipe.learning_rate, *times
        for variable, value in zip(self._values, values, strict=True):
            variable.assign(value)

    def __call__(self, step: int | keras.KerasTensor) -> keras.KerasTensor:
        """Returns the rate at an iteration, counted from 0."""
        dtype = keras.config.floatx()
        initial, epochs, warmup, steps = self._values
        epoch = ops.cast(ops.floor_divide(step, steps), dtype)
        rate = initial / 2 * (1 + ops.cos(math.pi * epoch / ops.cast(epochs, dtype)))
        # Without a warm-up, a division by 0: the rate times min(1, infinity).
        done = ops.cast(step + 1, dtype) / ops.cast(warmup * steps, dtype)
        return rate * ops.minimum(1.0, done)

    def at_epoch(self, epoch: int) -> float:
        """Returns an epoch's rate, that of its last step while it warms up."""
        epochs, warmup = self.recipe.epochs, self.recipe.warmup_epochs
        initial = self.recipe.learning_rate
        rate = initial / 2 * (1 + math.cos(math.pi * epoch / epochs))
        return rate * (epoch + 1) / warmup if epoch + 1 < warmup else rate

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"recipe": self.recipe, "steps_per_epoch": self.steps_per_epoch}


class Adam(keras.optimizers.Adam):
    """Adam with PyTorch's epsilon.

    Keras adds epsilon to the root of the second moment before its bias is
    corrected ("epsilon hat" in Kingma & Ba, 2015), PyTorch afterwards, so the same
    number is up to 32 times as effective in Keras during the first steps. On
    TensorFlow one kernel updates variable and moments, in a third of the time of
    separate operations.
    """

    _shared: tuple[Any, ...] | None = None  # By the updates of a step.

    def apply(
        self,
        grads: Sequence[keras.KerasTensor],
        trainable_variables: Sequence[keras.Variable] | None = None,
    ) -> None:
        """Applies one step; what all variables share is computed once."""
        self._shared = None
        super().apply(grads, trainable_variables)
        self._shared = None

    def update_step(
        self,
        gradient: keras.KerasTensor,
        variable: keras.Variable,
        learning_rate: keras.KerasTensor,
    ) -> None:
        """Applies one step to one variable."""
        dtype = variable.dtype
        if self._shared is None or self._shared[0] != dtype:
            step = ops.cast(self.iterations + 1, dtype)
            # Casting a Python number goes through float32; conversion doesn't.
            first_power, second_power = (
                ops.power(ops.convert_to_tensor(beta, dtype), step)
                for beta in (self.beta_1, self.beta_2)
            )
            root = ops.sqrt(1 - second_power)
            rate, epsilon = ops.cast(learning_rate, dtype), self.epsilon * root
            self._shared = dtype, rate, first_power, second_power, root, epsilon
        _, rate, first_power, second_power, root, epsilon = self._shared
        gradient = ops.cast(gradient, dtype)
        index = self._get_variable_index(variable)
        first, second = self._momentums[index], self._velocities[index]
        if keras.backend.backend() == "tensorflow":
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
        scale = rate * root / (1 - first_power)
        self.assign_sub(variable, first * scale / (ops.sqrt(second) + epsilon))


# For each compiled model: optimizer name, optimizer, schedule, and initial values of
# its scalars.
_compiled: weakref.WeakKeyDictionary[keras.Model, tuple] = weakref.WeakKeyDictionary()


def compile_for_training(
    model: keras.Model, recipe: Recipe, training_examples: int
) -> EpochCosine:
    """Compiles a model that outputs logits; returns the learning rate's schedule.

    A model that is compiled already keeps its graphs, and its optimizer starts anew.
    """
    steps = math.ceil(training_examples / recipe.batch_size)
    before, optimizer, schedule, initial = _compiled.get(model, (None,) * 4)
    # JAX makes constants of a schedule's values.
    if before == recipe.optimizer and keras.backend.backend() != "jax":
        schedule.set(recipe, steps)
        model.optimizer = optimizer
        for variable, value in zip(optimizer.variables, initial, strict=True):
            variable.assign(ops.full(variable.shape, value, variable.dtype))
        return schedule
    schedule = EpochCosine(recipe, steps)
    if recipe.optimizer == choices.SGD:
        optimizer = keras.optimizers.SGD(schedule, momentum=MOMENTUM)
    else:
        optimizer = Adam(schedule, epsilon=1e-8)
    # Keras itself looks at the model's own policy, and only the backbone has one.
    if any(layer.compute_dtype == "float16" for layer in layers.leaves(model)):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    # Variables created during tracing would keep the graph alive.
    model.optimizer.build(model.trainable_variables)
    if keras.backend.backend() == "tensorflow" and not model.jit_compile:
        # Keras traces a function within a function, and finishes both.
        @tf.function(autograph=False, reduce_retracing=True)
        def train(batches: Iterator) -> dict[str, tf.Tensor]:
            return model.train_step(next(batches))

        model.train_function = train
    initial = [
        0 if v.shape else ops.convert_to_numpy(v).item()
        for v in model.optimizer.variables
    ]
    _compiled[model] = recipe.optimizer, model.optimizer, schedule, initial
    training_copy.traced.append(model.name)
    return schedule
