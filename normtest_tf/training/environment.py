"""What a run depends on apart from its flags: device, precision, versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from typing import Any

import keras

import normtest_tf
from normtest_tf import errors
from normtest_tf.system import keras_setup
from normtest_tf.text import Notify

PACKAGES = ("keras", "tensorflow-datasets", "numpy", "scikit-learn")
# Minimum NVIDIA compute capability for each format.
BFLOAT16_CAPABILITY = (8, 0)
FLOAT16_CAPABILITY = (7, 0)


_deterministic = False  # TensorFlow has no public way to ask.


def resolve_precision(precision: str) -> str:
    """Turns `auto` into the best Keras dtype policy of the first GPU, or of the CPU."""
    if precision != "auto":
        return precision
    capability = next((capability for _, capability in gpus()), (0, 0))
    if capability >= BFLOAT16_CAPABILITY:
        return "mixed_bfloat16"
    if capability >= FLOAT16_CAPABILITY:
        return "mixed_float16"
    return "float32"


def check_backend(notify: Notify) -> None:
    """Raises `UsageError` if Keras's backend can't train; says if it is slow."""
    backend = keras.backend.backend()
    keras_setup.check_can_train(backend)
    if backend == "torch":
        notify("Keras runs the backend torch eagerly, which is slower than the others")


def set_determinism(wanted: bool) -> None:
    """Restricts TensorFlow to deterministic operations, for the whole process."""
    global _deterministic
    if wanted and keras.backend.backend() != "tensorflow":
        raise errors.UsageError(
            "--deterministic needs --backend=tensorflow; for JAX, set the environment "
            "variable XLA_FLAGS=--xla_gpu_deterministic_ops=true instead. Received: "
            f"the backend {keras.backend.backend()}"
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


def gpus() -> list[tuple[str, tuple[int, int]]]:
    """Returns name and compute capability of the GPUs that the backend computes on."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        devices = jax.local_devices()
        found = [device for device in devices if device.platform in ("gpu", "cuda")]
        return [(device.device_kind, _capability(device)) for device in found]
    if backend == "torch":
        from torch import cuda

        return [
            (cuda.get_device_name(index), cuda.get_device_capability(index))
            for index in range(cuda.device_count())
        ]
    import tensorflow as tf

    details = map(
        tf.config.experimental.get_device_details,
        tf.config.list_physical_devices("GPU"),
    )
    return [
        (each.get("device_name", "GPU"), each.get("compute_capability", (0, 0)))
        for each in details
    ]


def _capability(device: object) -> tuple[int, int]:
    """Reads a compute capability such as `9.0`; AMD's GPUs have other words."""
    words = str(getattr(device, "compute_capability", ""))
    found = re.fullmatch(r"(\d+)\.(\d+)", words)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def describe() -> dict[str, Any]:
    """Returns versions and hardware, for the record of a run."""
    import tensorflow as tf

    backend = keras.backend.backend()
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    # The package may be tensorflow-cpu.
    versions["tensorflow"] = tf.__version__
    if backend not in versions:
        versions[backend] = importlib.metadata.version(backend)
    return {
        "normtest_tf": normtest_tf.__version__,
        "python": platform.python_version(),
        **versions,
        "backend": backend,
        **keras_setup.describe(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cpu_cores": os.cpu_count(),
        "gpus": [name for name, _ in gpus()],
    }


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
