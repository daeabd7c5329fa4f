"""Keras's own settings, which must not change what a run computes.

Keras reads defaults from keras.json and the environment: layout of images, float type
and so on. Our own processes ignore them (`importing`, `pin`); functions that are called
in somebody else's process set them for the call alone (`pinned`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from normtest_tf import errors

BACKEND_VARIABLE = "KERAS_BACKEND"
DEFAULT_BACKEND = "tensorflow"
TRAINING_BACKENDS = ("tensorflow", "jax", "torch")
# Named like the package that each of them needs.
_BACKENDS = (*TRAINING_BACKENDS, "numpy", "openvino")

# Names of `keras.config`; there are newer ones, which older versions of Keras lack.
_LAYOUT = {"image_data_format": "channels_last", "epsilon": 1e-7}
_DTYPES = {"floatx": "float32", "dtype_policy": "float32"}
_LIMITS = {"max_epochs": None, "max_steps_per_epoch": None}
_PINNED = {**_LAYOUT, **_DTYPES, **_LIMITS}
# What Keras reads when it is imported, apart from the backend.
_VARIABLES = (
    "KERAS_HOME",
    "KERAS_MAX_EPOCHS",
    "KERAS_MAX_STEPS_PER_EPOCH",
    "KERAS_NNX_ENABLED",
)


def check_backend() -> None:
    """Checks the backend that the environment asks for, without importing Keras.

    Raises:
        UsageError: If KERAS_BACKEND names none, or one that is not installed.
    """
    backend = os.environ.get(BACKEND_VARIABLE) or DEFAULT_BACKEND
    advice = f"Unset {BACKEND_VARIABLE} to use {DEFAULT_BACKEND}"
    if backend not in _BACKENDS:
        names = list(TRAINING_BACKENDS)
        allowed = f"Allowed: {', '.join(names)}. {advice}"
        raise errors.unknown_name(BACKEND_VARIABLE, backend, names, allowed)
    if backend not in sys.modules and importlib.util.find_spec(backend) is None:
        raise errors.UsageError(
            f"{BACKEND_VARIABLE}={backend} asks for a backend of Keras that is not "
            f"installed. {advice}, or install {backend}"
        )


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Lets a block import Keras without keras.json, and pins its settings afterwards.

    Downloads stay where Keras would put them, and keras.json is neither read nor
    written, whatever it holds. If Keras has been imported before, it is only pinned.

    Raises:
        UsageError: If Keras can't be imported with the backend that KERAS_BACKEND
            names.
    """
    check_backend()
    if not os.environ.get(BACKEND_VARIABLE):  # Otherwise keras.json would decide.
        os.environ[BACKEND_VARIABLE] = DEFAULT_BACKEND
    home = _keras_home()
    is_new = "keras" not in sys.modules
    with _without_variables():
        os.environ["KERAS_HOME"] = os.devnull  # It holds no keras.json, and can't.
        yield
        _import_keras()
    if is_new:
        from keras.src.backend import config

        config._KERAS_DIR = home  # Where it looks for downloads.
    pin()


def _import_keras() -> None:
    """Imports Keras; whatever goes wrong becomes a `UsageError`."""
    try:
        import keras  # noqa: F401
    except Exception as error:  # Backends fail in their own ways.
        backend = os.environ[BACKEND_VARIABLE]
        raise errors.UsageError(
            f"can't import Keras with {BACKEND_VARIABLE}={backend}: "
            f"{errors.first_cause(error)}. Unset {BACKEND_VARIABLE} to use "
            f"{DEFAULT_BACKEND}, or repair the installation"
        ) from error


def _keras_home() -> str:
    """Returns the folder of Keras's downloads, found as Keras finds it."""
    if "KERAS_HOME" in os.environ:
        return os.environ["KERAS_HOME"]
    base = os.path.expanduser("~")
    return os.path.join(base if os.access(base, os.W_OK) else "/tmp", ".keras")


@contextlib.contextmanager
def _without_variables() -> Iterator[None]:
    """Hides Keras's variables while the block runs."""
    hidden = {name: os.environ.pop(name, None) for name in _VARIABLES}
    try:
        yield
    finally:
        for name, value in hidden.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def pin() -> None:
    """Sets what runs need, for the rest of the process.

    Images have their channels last, numbers are float32, epsilon is 1e-7, and nothing
    limits the number of epochs and steps.
    """
    _apply(_PINNED)


@contextlib.contextmanager
def pinned(*, dtypes: bool = True) -> Iterator[None]:
    """Sets what runs need while a block or a decorated function runs.

    Afterwards everything is as it was, the global dtype policy included, even if the
    block raised or cleared Keras's session.

    Args:
        dtypes: Whether to set float type and dtype policy, too. A network on its own
            is built in its caller's.

    Example:
    ```python
    @keras_settings.pinned()
    def build() -> keras.Model: ...
    ```
    """
    before = _current(_PINNED)
    _apply(_PINNED if dtypes else _LAYOUT | _LIMITS)
    try:
        yield
    finally:
        _apply(before)


def describe() -> dict[str, Any]:
    """Returns the settings in force that decide what is computed, ready for JSON."""
    import keras

    return {
        "floatx": keras.config.floatx(),
        "image_data_format": keras.config.image_data_format(),
        "keras_epsilon": float(keras.config.epsilon()),
    }


def _current(names: Mapping[str, object]) -> dict[str, Any]:
    """Returns the values of those settings that this version of Keras has."""
    import keras

    return {
        name: getattr(keras.config, name)()
        for name in names
        if hasattr(keras.config, name)
    }


def _apply(values: Mapping[str, object]) -> None:
    """Sets those settings that this version of Keras has."""
    import keras

    for name, value in values.items():
        if setter := getattr(keras.config, f"set_{name}", None):
            setter(value)
