"""Our side: the same numbers from Keras, under PyTorch's names."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import tempfile
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf
from safetensors.numpy import save

from experiments.support.parity import cases, exports, float64, gradients
from normtest_tf import backbones
from normtest_tf.backbones import weights
from normtest_tf.normalization import IMAGENET, normalization_layer
from normtest_tf.training import classifier, pipeline, recipe, training_copy

Arrays = dict[str, np.ndarray]


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Computes everything in one dtype, including losses and learning rates."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    allowed = float64.enabled if dtype == float64.FLOAT64 else contextlib.nullcontext
    try:
        with allowed():
            yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def network(name: str, size: int | None, *, damped: bool = False) -> keras.Model:
    """Builds a network in the current precision and loads the seeded weights.

    Without a size, it takes images of any.
    """
    model = backbones.get(name).build(
        weights=None,
        input_shape=(size, size, 3),
        classes=cases.CLASSES,
        classifier_activation=None,
    )
    content = _seeded_weights(tuple(_shapes(model).items()), damped)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "seeded.safetensors"
        path.write_bytes(content)
        weights.load_file(model, path)
    return model


@functools.lru_cache(1)
def _seeded_weights(
    shapes: tuple[tuple[str, tuple[int, ...]], ...], damped: bool
) -> bytes:
    """Returns the content of the weights file."""
    tensors = cases.tensors(dict(shapes), damped=damped)
    return save({k: np.ascontiguousarray(value) for k, value in tensors.items()})


def _shapes(model: keras.Model) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the tensors in this model's weights file."""
    variables = weights.variables_by_tensor(model)
    return {k: _theirs(v).shape for k, v in variables.items()}


def logits(name: str, size: int, dtype: str = "float64") -> Arrays:
    """Returns the logits of two images in evaluation mode."""
    images, _ = cases.batch(size, 2)
    with precision(dtype):
        return {"logits": _outputs(_reused(name, dtype), images.astype(dtype))}


@functools.lru_cache(2)
def _reused(name: str, _dtype: str) -> keras.Model:
    """Returns a network for evaluation, in the current precision."""
    return network(name, None)


def training_step(name: str, size: int) -> Arrays:
    """Returns logits, running statistics and gradients of one training step."""
    images, labels = cases.batch(size, cases.step_images(size))
    with precision("float64"):
        model = training_copy.make(network(name, size))
        step = gradients.of_step(model, images, labels)
        variables = weights.variables_by_tensor(model)
    running = {k: _array(v) for k, v in variables.items() if "running" in k}
    names = {id(variable): name for name, variable in variables.items()}
    found = {
        names[id(variable)]: gradient
        for variable, gradient in zip(
            model.trainable_variables, step.gradients, strict=True
        )
    }
    return {
        "logits": step.logits,
        "loss": step.loss,
        **{f"running/{k}": v for k, v in running.items()},
        **{f"gradient/{k}": _theirs(v) for k, v in found.items()},
    }


def training(name: str) -> Arrays:
    """Returns the loss of every step and all weights after the last."""
    case = cases.TwentySteps()
    with precision("float64"):
        damped = network(name, 32, damped=True)
        model = training_copy.make(damped)
        recipe.compile_for_training(
            model,
            recipe.Recipe(case.epochs, case.batch_size, case.learning_rate),
            case.examples,
        )
        losses = losses_by_step(model, case.batches())
    variables = weights.variables_by_tensor(model)
    return {
        "losses": np.array(losses),
        **{f"weight/{k}": _theirs(v) for k, v in variables.items()},
    }


def losses_by_step(
    model: keras.Model, batches: Iterable[tuple[np.ndarray, np.ndarray]]
) -> list[float]:
    """Trains a compiled model a step for each batch, and returns the steps' losses."""
    # `train_on_batch` would trace the step anew each time.
    return [
        model.fit(
            images, labels, batch_size=len(labels), shuffle=False, verbose=0
        ).history["loss"][0]
        for images, labels in batches
    ]


def exported(name: str) -> Arrays:
    """Returns the logits of raw images from the classifier that `theirs` loads."""
    model = exports.build(name)
    with precision("float64"):
        model = exports.in_current_precision(name, model)
        return {"logits": _outputs(model, exports.images())}


def pixels() -> Arrays:
    """Returns cropped, flipped and normalised images, `[n, 32, 32, 3]`."""
    images, offsets, flips = map(tf.constant, cases.raw_images())
    shifted = pipeline.shift_and_flip(images, offsets, flips, padding=4)
    layer = normalization_layer(IMAGENET, (32, 32, 3))
    return {"pixels": _array(layer(np.array(shifted)))}


def heads(name: str) -> Arrays:
    """Returns kernel and bias of a new head with 1,000 classes."""
    task = classifier.Task(image_shape=(32, 32, 3), num_classes=1000)
    model = classifier.build_classifier(
        backbones.resolve(name, "none"),
        normalization_layer(IMAGENET, task.image_shape),
        task,
        seed=0,
    )
    head = model.get_layer("head")
    return {"kernel": _theirs(head.kernel), "bias": _array(head.bias)}


def _outputs(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Returns what a model computes of images in evaluation mode."""
    if keras.backend.backend() == "jax":  # It would compile each operation by itself.
        return model.predict_on_batch(images)
    return _array(model(images, training=False))


def _array(value: keras.Variable | keras.KerasTensor) -> np.ndarray:
    """Returns any backend's values."""
    return keras.ops.convert_to_numpy(value)


def _theirs(value: keras.Variable | np.ndarray) -> np.ndarray:
    """Returns an array in PyTorch's order of axes."""
    return weights.to_pytorch(_array(value))
