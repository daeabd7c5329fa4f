"""Importing TensorFlow and Keras without their start-up logs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from normtest_tf.system import keras_settings


def import_tensorflow() -> None:
    """Imports TensorFlow, and Keras with the settings that runs need, silently.

    Programs call this after the cheap checks of their flags, and only then import
    modules that need TensorFlow. Its log goes straight to the process's stderr,
    regardless of TF_CPP_MIN_LOG_LEVEL, and would bury an error message.

    Raises:
        UsageError: If KERAS_BACKEND names a backend that can't be used, or Keras
            refuses its settings.
    """
    with silent_stderr():
        keras_settings.import_keras()
        import tensorflow as tf

        if keras_settings.backend() == "tensorflow":
            tf.config.list_physical_devices()  # Logs while looking for a GPU.
        else:
            # It reads the data; the GPU's memory is for what trains.
            tf.config.set_visible_devices([], "GPU")


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Discards stderr, including compiled code's; exceptions still propagate."""
    _flush()
    try:
        stderr = os.dup(2)
    except OSError:  # It is closed, hence silent.
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        _flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


def _flush() -> None:
    if sys.stderr is not None:  # It was closed before the process started.
        sys.stderr.flush()
