"""Keeping TensorFlow's start-up log off the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


def import_tensorflow() -> None:
    """Imports TensorFlow without its start-up log.

    Programs call this after the cheap checks of their flags, and only then import
    modules that need TensorFlow. The log goes straight to the process's stderr,
    regardless of TF_CPP_MIN_LOG_LEVEL, and would bury an error message.
    """
    with silent_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()  # Logs while looking for a GPU.


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Discards stderr, including compiled code's; exceptions still propagate."""
    sys.stderr.flush()
    stderr = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
