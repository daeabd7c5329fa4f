"""Keeping TensorFlow's log of its start-up off the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


def import_tensorflow() -> None:
    """Imports TensorFlow without the log of its start-up.

    Programs call it after the cheap checks of their flags, and import what needs
    TensorFlow afterwards. The log goes straight to the process's stderr, whatever
    TF_CPP_MIN_LOG_LEVEL says, and would bury an error message.
    """
    with silent_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()  # Looks for a GPU, loudly.


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Drops what compiled code logs on stderr; exceptions come through."""
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
