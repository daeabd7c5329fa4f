"""What the machine and the network allow: matrix products, and operations needed."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.support.speed.work import Work

if TYPE_CHECKING:
    import keras

MATRIX_SIDE = 4096
PACKAGES = ("tensorflow", "keras", "torch", "timm")


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a training can't exceed; gigaflops of a large matrix product, by dtype."""

    gflops: dict[str, float]
    training_gflop: float  # For one image, without taps that only see padding.
    training_gflop_with_padding: float


def measure(work: Work) -> Limits:
    """Measures the machine and counts the network's operations."""
    from normtest_tf.system import keras_setup

    keras_setup.import_tensorflow()
    from normtest_tf import backbones
    from normtest_tf.training import training_copy

    images, _ = work.read_images()
    model = backbones.get(work.model).build(
        weights=None, input_shape=images.shape[1:], classes=work.classes
    )
    counts = operations(training_copy.make(model))
    # Backward, as much again for the inputs and for the kernels. The first
    # convolution's inputs are the images, which have no gradient.
    live, padded = (
        (3 * sum(column) - column[0]) / 1e9 for column in zip(*counts, strict=True)
    )
    return Limits({d: _matrix_rate(d) for d in ("float32", "bfloat16")}, live, padded)


def environment(backends: Sequence[str]) -> dict[str, str]:
    """Returns the machine, as the first backend sees it, and versions of packages."""
    from normtest_tf.system import keras_setup

    keras_setup.choose_backend(backends[0])
    keras_setup.import_tensorflow()
    from normtest_tf.training import environment as training_environment

    found = training_environment.describe()
    device = ", ".join(found["gpus"]) or f"{found['cpu']}, {found['cpu_cores']} cores"
    names = dict.fromkeys((*PACKAGES, *backends))
    versions = {name: importlib.metadata.version(name) for name in names}
    return {"device": device, **versions}


def operations(model: keras.Model) -> list[tuple[int, int]]:
    """Counts the operations of each layer's forward pass on one image.

    Returns a pair for each convolution and linear layer of a training copy, two for a
    multiplication: without taps that only see padding, and with them.
    """
    from keras import layers

    from normtest_tf.training.training_copy import Convolution

    found: list[tuple[int, int]] = []
    for layer in model.layers:
        if isinstance(layer, Convolution):
            found.append(_convolution_operations(layer))
        elif isinstance(layer, layers.Dense):
            found.append((2 * layer.kernel.shape[0] * layer.units,) * 2)
    return found


def _convolution_operations(layer: keras.layers.Conv2D) -> tuple[int, int]:
    joined = 1
    outputs = layer.output.shape[1:3]
    for axis in (0, 1):
        taps = layer.taps(axis, layer.input.shape[axis + 1], outputs[axis])
        joined *= int(((taps >= 0) & (taps < layer.kernel_size[axis])).sum())
    each = 2 * layer.input.shape[-1] * layer.filters
    return joined * each, math.prod(outputs) * math.prod(layer.kernel_size) * each


def _matrix_rate(dtype: str) -> float:
    """Returns the GFLOP/s of a product of two large square matrices."""
    import numpy as np
    from keras import ops

    matrix = ops.cast(np.random.default_rng(0).random([MATRIX_SIDE] * 2), dtype)
    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        np.asarray(ops.cast(ops.matmul(matrix, matrix)[0, :1], "float32"))
        seconds.append(time.perf_counter() - started)
    return 2 * MATRIX_SIDE**3 / min(seconds) / 1e9
