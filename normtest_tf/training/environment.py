"""What a run depends on apart from its flags: device, precision, versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import keras

import normtest_tf
from normtest_tf import errors
from normtest_tf.system import keras_settings
from normtest_tf.text import Notify

PACKAGES = ("keras", "tensorflow", "tensorflow-datasets", "numpy", "scikit-learn")
# Minimum NVIDIA compute capability for each format.
BFLOAT16_CAPABILITY = (8, 0)
FLOAT16_CAPABILITY = (7, 0)

_deterministic = False  # TensorFlow has no public way to ask.


def resolve_precision(precision: str) -> str:
    """Turns `auto` into the best Keras dtype policy of this machine.

    Args:
        precision: A dtype policy, which is returned as it is, or `auto`.

    Returns:
        `mixed_bfloat16` if the GPU supports it, else `mixed_float16` if it supports
        that, else `float32`.
    """
    if precision != "auto":
        return precision
    capability = _gpu_capability()
    if capability >= BFLOAT16_CAPABILITY:
        return "mixed_bfloat16"
    if capability >= FLOAT16_CAPABILITY:
        return "mixed_float16"
    return "float32"


def check_backend(notify: Notify) -> None:
    """Checks that Keras's backend can train; says so if nobody has tested it.

    Args:
        notify: Called with a message if the backend is not TensorFlow.

    Raises:
        UsageError: If the backend can't train.
    """
    backend = keras.backend.backend()
    keras_settings.check_can_train(backend)
    if backend != "tensorflow":
        notify(
            f"training on KERAS_BACKEND={backend} is not tested; results, speed and "
            "resuming are only known for tensorflow"
        )


def set_determinism(wanted: bool) -> None:
    """Restricts TensorFlow to deterministic operations, for the whole process.

    Args:
        wanted: Whether to do so.

    Raises:
        UsageError: If the backend has no such mode, or if `wanted` is false in a
            process where it is already on: TensorFlow can't switch it off.
    """
    global _deterministic
    if wanted and keras.backend.backend() != "tensorflow":
        raise errors.UsageError(
            "--deterministic needs Keras's TensorFlow backend. Received: "
            f"KERAS_BACKEND={keras.backend.backend()}"
        )
    if _deterministic and not wanted:
        raise errors.UsageError(
            "an earlier run in this process used --deterministic, which TensorFlow "
            "can't switch off again; start another process for runs without it"
        )
    if wanted and not _deterministic:
        import tensorflow as tf

        # Without a seed, random operations would be refused from now on.
        keras.utils.set_random_seed(0)
        tf.config.experimental.enable_op_determinism()
        _deterministic = True


def _gpu_capability() -> tuple[int, int]:
    """Returns the compute capability of the first GPU; (0, 0) if there is none."""
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU")[:1]:
        details = tf.config.experimental.get_device_details(gpu)
        return tuple(details.get("compute_capability", (0, 0)))
    return (0, 0)


def describe() -> dict[str, Any]:
    """Returns versions and hardware, for the record of a run."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details
    return {
        "normtest_tf": normtest_tf.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "backend": keras.backend.backend(),
        **keras_settings.describe(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cpu_cores": os.cpu_count(),
        "gpus": [details(gpu).get("device_name", gpu.name) for gpu in gpus],
    }


def _cpu_name() -> str:
    """Returns the processor's name, as reported by the system."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
