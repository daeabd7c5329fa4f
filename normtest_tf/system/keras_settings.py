"""Keras's own settings, which must not change what a run computes.

Keras reads defaults from keras.json and the environment: layout of images, float type
and so on. Our own processes overrule them once (`import_keras`); functions that are
called in somebody else's process, for the call alone (`pinned`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from normtest_tf import errors

TRAINING_BACKENDS = ("tensorflow", "jax", "torch")
# Named like the package that each of them needs.
_BACKENDS = (*TRAINING_BACKENDS, "numpy", "openvino")
_DEFAULT_BACKEND = "tensorflow"
_PREFIX = "KERAS_"  # Of the variables that Keras reads.
_BACKEND_VARIABLE = f"{_PREFIX}BACKEND"
_UNSET = f"Unset {_BACKEND_VARIABLE} to use {_DEFAULT_BACKEND}"

# Names of `keras.config`; there are newer ones, which older versions of Keras lack.
_LAYOUT = {"image_data_format": "channels_last", "epsilon": 1e-7}
_DTYPES = {"floatx": "float32", "dtype_policy": "float32"}
_LIMITS = {"max_epochs": None, "max_steps_per_epoch": None}
_PINNED = {**_LAYOUT, **_DTYPES, **_LIMITS}


def backend() -> str:
    """Returns the backend that the environment asks for, without importing Keras.

    Returns:
        The value of KERAS_BACKEND, or `tensorflow`; keras.json has no say in it.

    Raises:
        UsageError: If KERAS_BACKEND names none, or one that is not installed.
    """
    name = os.environ.get(_BACKEND_VARIABLE) or _DEFAULT_BACKEND
    if name not in _BACKENDS:
        names = list(TRAINING_BACKENDS)
        allowed = f"Allowed: {', '.join(names)}. {_UNSET}"
        raise errors.unknown_name(_BACKEND_VARIABLE, name, names, allowed)
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        raise errors.UsageError(
            f"{_BACKEND_VARIABLE}={name} asks for a backend of Keras that is not "
            f"installed. {_UNSET}, or install {name}"
        )
    return name


def choose_backend(name: str) -> None:
    """Makes this process, and those that it starts, use a backend of Keras.

    To be called before Keras is imported.

    Args:
        name: One of `TRAINING_BACKENDS`.

    Raises:
        UsageError: If it is not installed, or Keras has another one already.
    """
    check_installed(name)
    keras = sys.modules.get("keras")
    if keras is not None and keras.backend.backend() != name:
        raise errors.UsageError(
            f"--backend={name} comes too late: this process has imported Keras with "
            f"the backend {keras.backend.backend()}; start another process"
        )
    os.environ[_BACKEND_VARIABLE] = name


def check_installed(name: str) -> None:
    """Checks that a backend is installed, without importing it.

    Raises:
        UsageError: If it is not.
    """
    if importlib.util.find_spec(name) is None:
        raise errors.UsageError(
            f"--backend={name} needs {name}, which is not installed; pip install {name}"
        )


def check_can_train(name: str | None = None) -> None:
    """Checks that a backend can train, without importing Keras.

    Args:
        name: The backend. Default: the one that the environment asks for.

    Raises:
        UsageError: If it can't, or if `backend` refuses the environment's.
    """
    name = name or backend()
    if name not in TRAINING_BACKENDS:
        raise errors.UsageError(
            f"{_BACKEND_VARIABLE}={name} can't train a network. Allowed: "
            f"{', '.join(TRAINING_BACKENDS)}. {_UNSET}"
        )


def import_keras() -> None:
    """Imports Keras, and sets what runs need for the rest of the process.

    Images have their channels last, numbers are float32, epsilon is 1e-7, and nothing
    limits the number of epochs and steps, whatever keras.json and the environment say.
    To be called before TensorFlow is imported, which reads keras.json, too, but does
    not say what is wrong with it. If Keras has been imported before, only the settings
    are made.

    Raises:
        UsageError: If Keras can't be imported with the backend that KERAS_BACKEND
            names, or refuses what keras.json or the environment says.
    """
    name, variables = backend(), _variables()
    os.environ[_BACKEND_VARIABLE] = name  # Otherwise keras.json would decide.
    try:
        import keras  # noqa: F401  (fails here if it can't)
    except Exception as error:  # Backends fail in their own ways.
        raise errors.UsageError(
            f"can't import Keras with the backend {name}: {errors.first_cause(error)}; "
            f"check what it reads (keras.json in KERAS_HOME or ~/.keras{variables}), "
            "or repair the installation"
        ) from error
    _apply(_PINNED)


def _variables() -> str:
    """Returns the variables for Keras that are set, each after a comma."""
    return "".join(
        f", {name}={value}"
        for name, value in sorted(os.environ.items())
        if name.startswith(_PREFIX) and value
    )


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
