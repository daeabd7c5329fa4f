"""Keras in float64 under every backend, for comparisons whose error is not rounding."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

FLOAT64 = "float64"


@contextlib.contextmanager
def enabled() -> Iterator[None]:
    """Lets a block compute in float64.

    TensorFlow always can. JAX has to be told; and with JAX and PyTorch, Keras computes
    means and variances of float64 in float32, by a table of its own.
    """
    from keras.src.backend.common import dtypes

    table = dtypes.BIT64_TO_BIT32_DTYPE
    before = table[FLOAT64]
    table[FLOAT64] = FLOAT64
    try:
        with _enabled_in_jax():
            yield
    finally:
        table[FLOAT64] = before


@contextlib.contextmanager
def _enabled_in_jax() -> Iterator[None]:
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)
