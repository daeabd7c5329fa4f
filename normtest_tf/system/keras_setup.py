"""Keras and TensorFlow, imported silently and set to what runs need.

Keras reads defaults from keras.json and the environment: layout of images, float type
and so on. Programs overrule them once, in `import_tensorflow`. A library call in a
process with other settings raises an error, for its result would be another.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import Any

from normtest_tf import errors

BACKENDS = ("tensorflow", "jax", "torch")  # Named like the package that each needs.
_DEFAULT_BACKEND = "tensorflow"
# The smallest run takes 3.1 GiB of them on two cores, and more with more threads.
LEAST_ADDRESSES = 3 * 2**30
_PREFIX = "KERAS_"  # Of the variables that Keras reads.
_BACKEND_VARIABLE = f"{_PREFIX}BACKEND"
_UNSET = f"Unset {_BACKEND_VARIABLE} to use {_DEFAULT_BACKEND}"

# Names of `keras.config`; older versions of Keras lack some of them.
_DTYPES = {"floatx": "float32", "dtype_policy": "float32"}
_OTHERS: dict[str, Any] = {"image_data_format": "channels_last", "epsilon": 1e-7}
_OTHERS |= {"max_epochs": None, "max_steps_per_epoch": None}


def backend() -> str:
    """Returns the backend that KERAS_BACKEND asks for, without importing Keras."""
    name = os.environ.get(_BACKEND_VARIABLE) or _DEFAULT_BACKEND
    if name not in BACKENDS:
        allowed = f"Allowed: {', '.join(BACKENDS)}. {_UNSET}"
        raise errors.unknown_name(_BACKEND_VARIABLE, name, list(BACKENDS), allowed)
    check_installed(name, _BACKEND_VARIABLE)
    return name


def choose_backend(name: str) -> None:
    """Makes this process and its children use a backend; before Keras is imported."""
    check_installed(name)
    keras = sys.modules.get("keras")
    if keras is not None and keras.backend.backend() != name:
        raise errors.UsageError(
            f"--backend={name} comes too late: this process has imported Keras with "
            f"the backend {keras.backend.backend()}; start another process"
        )
    os.environ[_BACKEND_VARIABLE] = name


def check_installed(name: str, asked_by: str = "--backend") -> None:
    """Raises `UsageError` unless a backend is installed."""
    if importlib.util.find_spec(name) is None:
        raise errors.UsageError(
            f"{asked_by}={name} needs {name}, which is not installed; pip install "
            f"{name}, or choose another backend of Keras"
        )


def import_tensorflow() -> None:
    """Imports TensorFlow, and Keras with the settings that runs need, silently.

    Programs call this after the cheap checks of their flags, and only then import
    modules that need TensorFlow. Its log goes straight to the process's stderr,
    regardless of TF_CPP_MIN_LOG_LEVEL, and would bury an error message.
    """
    _check_address_space()
    # Otherwise TensorFlow and JAX take most memory of a GPU that may be shared.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    with silent_stderr():
        import_keras()  # TensorFlow reads keras.json, but hides what is wrong with it.
        import tensorflow as tf

        if backend() == "tensorflow":
            tf.config.list_physical_devices()  # Logs while looking for a GPU.
        else:
            # It reads the data; the GPU's memory is for what trains.
            tf.config.set_visible_devices([], "GPU")
        if backend() == "jax":
            _prepare_jax()


def _check_address_space() -> None:
    """Refuses a limit under which TensorFlow would crash, or hang for ever."""
    with contextlib.suppress(ImportError):  # Windows has no limits.
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if 0 <= limit < LEAST_ADDRESSES:
            raise errors.UsageError(
                f"too little memory: `ulimit -v` allows {limit / 2**30:.1f} GiB of "
                f"addresses, and TensorFlow takes {LEAST_ADDRESSES / 2**30:.0f} and "
                "more; raise the limit"
            )


def _prepare_jax() -> None:
    """Overrides the JAX option that Keras can't work with, and checks for a device."""
    import jax

    jax.config.update("jax_numpy_rank_promotion", "allow")
    asked = os.environ.get("JAX_PLATFORMS")
    if not asked and os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        # With CUDA it would fail to find a GPU (jax-ml/jax#37668).
        jax.config.update("jax_platforms", "cpu")
    try:
        jax.devices()
    except Exception as error:  # Of several types.
        raise errors.UsageError(
            f"JAX finds no device: {errors.first_cause(error)}. JAX_PLATFORMS={asked}; "
            "unset it, or install JAX for that device (docs/gpu.md)"
        ) from error


def import_keras() -> None:
    """Imports Keras, and sets what runs need, whatever keras.json says."""
    name = backend()
    os.environ[_BACKEND_VARIABLE] = name  # Otherwise keras.json would decide.
    try:
        import keras
    except Exception as error:  # Backends fail in their own ways.
        names = sorted(name for name in os.environ if name.startswith(_PREFIX))
        variables = "".join(f", {name}={os.environ[name]}" for name in names)
        raise errors.UsageError(
            f"can't import Keras with the backend {name}: {errors.first_cause(error)}; "
            f"check what it reads (keras.json in KERAS_HOME or ~/.keras{variables}), "
            "or repair the installation"
        ) from error
    for setting, value in (_DTYPES | _OTHERS).items():
        if setter := getattr(keras.config, f"set_{setting}", None):
            setter(value)


@contextlib.contextmanager
def checked(*, dtypes: bool = True) -> Iterator[None]:
    """Raises `UsageError` unless Keras is set to what a function or block needs.

    Use `dtypes=False` for a network on its own, which is built in its caller's.
    """
    import keras

    for name, wanted in (_OTHERS | (_DTYPES if dtypes else {})).items():
        found = getattr(keras.config, name, lambda wanted=wanted: wanted)()
        found = getattr(found, "name", found)  # Of a dtype policy.
        if found != wanted:
            raise errors.UsageError(
                f"Keras is set to {name}={found}, which would change results; call "
                f"keras.config.set_{name}({wanted!r}) first, or "
                "normtest_tf.system.keras_setup.import_keras()"
            )
    yield


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
