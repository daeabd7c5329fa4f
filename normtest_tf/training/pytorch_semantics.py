"""What PyTorch computes differently from Keras, as drop-in Keras parts.

Reproducing PyTorch's numbers needs its running variance and its epsilon in Adam. These
classes are used for training only: the trained weights go back into a model of stock
Keras layers before it is saved.
"""

import keras
from keras import ops


class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization that trains as `torch.nn.BatchNorm2d` does.

    The running variance uses the unbiased batch variance, n/(n-1) times the biased one
    Keras uses (n: values per channel in the batch). On TensorFlow the fused kernel
    does the work: forward and backward take about half the time of Keras's separate
    operations.
    """

    def call(
        self,
        inputs: keras.KerasTensor,
        training: bool | None = None,
        mask: keras.KerasTensor | None = None,
    ) -> keras.KerasTensor:
        """Normalises `inputs` and, in training, updates the running statistics."""
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        if _can_fuse(self, inputs):
            outputs, mean, unbiased = _fused_batch_norm(self, inputs)
        else:
            outputs, mean, unbiased = _batch_norm(self, inputs)
        for running, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, unbiased),
        ):
            batch = ops.cast(batch, running.dtype)
            running.assign(running * self.momentum + batch * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)


def _can_fuse(layer: BatchNormalization, inputs: keras.KerasTensor) -> bool:
    """Tells whether TensorFlow's fused kernel computes this layer."""
    return (
        keras.backend.backend() == "tensorflow"
        and len(inputs.shape) == 4
        and layer.axis in (-1, 3)
        and keras.backend.standardize_dtype(inputs.dtype) != "float64"
    )


def _fused_batch_norm(
    layer: BatchNormalization, inputs: keras.KerasTensor
) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
    """Returns outputs, batch mean and unbiased batch variance, by one kernel."""
    import tensorflow as tf

    channels = inputs.shape[-1]
    return tf.compat.v1.nn.fused_batch_norm(
        inputs,
        scale=layer.gamma if layer.scale else tf.ones([channels]),
        offset=layer.beta if layer.center else tf.zeros([channels]),
        epsilon=layer.epsilon,
        is_training=True,
    )


def _batch_norm(
    layer: BatchNormalization, inputs: keras.KerasTensor
) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
    """Does the work of `_fused_batch_norm` on any backend and dtype."""
    dtype = keras.backend.result_type(inputs.dtype, "float32")
    inputs = ops.cast(inputs, dtype)
    rank = len(inputs.shape)
    axes = [axis for axis in range(rank) if axis != layer.axis % rank]
    mean, variance = ops.moments(inputs, axes=axes)
    outputs = ops.batch_normalization(
        inputs,
        mean=mean,
        variance=variance,
        axis=layer.axis,
        offset=ops.cast(layer.beta, dtype) if layer.center else None,
        scale=ops.cast(layer.gamma, dtype) if layer.scale else None,
        epsilon=layer.epsilon,
    )
    count = ops.cast(ops.size(inputs) / inputs.shape[layer.axis], dtype)
    return outputs, mean, variance * (count / ops.maximum(count - 1, 1))


def with_pytorch_batch_norm(model: keras.Model) -> keras.Model:
    """Copies a model and makes the copy's batch normalization train as PyTorch's.

    Args:
        model: A functional or sequential model, perhaps with models among its layers.

    Returns:
        The copy, with the same weights. `model.set_weights(copy.get_weights())` puts
        what it has learned into the original.
    """

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        is_batch_norm = isinstance(layer, keras.layers.BatchNormalization)
        cloned_class = BatchNormalization if is_batch_norm else type(layer)
        return cloned_class.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


class Adam(keras.optimizers.Adam):
    """Adam with PyTorch's epsilon.

    Keras adds epsilon to the root of the second moment before its bias is
    corrected ("epsilon hat" in Kingma & Ba, 2015), PyTorch afterwards, so the same
    number is up to 32 times as effective in Keras during the first steps.
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
        index = self._get_variable_index(variable)
        first, second = self._momentums[index], self._velocities[index]
        # Casting a Python number goes through float32; conversion doesn't.
        beta_1, beta_2 = (
            ops.convert_to_tensor(beta, dtype) for beta in (self.beta_1, self.beta_2)
        )
        first_correction = 1 - ops.power(beta_1, step)
        root_correction = ops.sqrt(1 - ops.power(beta_2, step))

        self.assign_add(first, (gradient - first) * (1 - self.beta_1))
        self.assign_add(second, (ops.square(gradient) - second) * (1 - self.beta_2))
        scale = rate * root_correction / first_correction
        epsilon = self.epsilon * root_correction
        self.assign_sub(variable, first * scale / (ops.sqrt(second) + epsilon))
