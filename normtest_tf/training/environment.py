"""What a run depends on apart from its flags: device, precision, versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import keras

import normtest_tf
from normtest_tf import errors
from normtest_tf.system import keras_setup
from normtest_tf.text import Notify

PACKAGES = ("keras", "tensorflow-datasets", "numpy", "scikit-learn")
# Minimum NVIDIA compute capability for each format.
BFLOAT16_CAPABILITY = (8, 0)
FLOAT16_CAPABILITY = (7, 0)


class Gpu(NamedTuple):
    """A GPU: its name, and NVIDIA's compute capability, (0, 0) if unknown."""

    name: str
    capability: tuple[int, int]


_deterministic = False  # TensorFlow has no public way to ask.


def resolve_precision(precision: str) -> str:
    """Turns `auto` into the best Keras dtype policy of the first GPU, or of the CPU."""
    if precision != "auto":
        return precision
    capability = max((gpu.capability for gpu in _gpus()[:1]), default=(0, 0))
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
    """Restricts TensorFlow to deterministic operations, for the whole process.

    Raises:
        UsageError: If the backend has no such mode, or if `wanted` is false in a
            process where it is already on: TensorFlow can't switch it off.
    """
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


def has_gpu() -> bool:
    """Tells whether Keras's backend computes on a GPU."""
    return bool(_gpus())


def _gpus() -> list[Gpu]:
    """Returns the GPUs that Keras's backend computes on."""
    return _GPUS_OF[keras.backend.backend()]()


def _gpus_of_tensorflow() -> list[Gpu]:
    import tensorflow as tf

    found = []
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        capability = details.get("compute_capability", (0, 0))
        found.append(Gpu(details.get("device_name", device.name), capability))
    return found


def _gpus_of_jax() -> list[Gpu]:
    import jax

    return [
        Gpu(device.device_kind, _parsed(getattr(device, "compute_capability", "")))
        for device in jax.local_devices()
        if device.platform in ("gpu", "cuda")
    ]


def _parsed(capability: str) -> tuple[int, int]:
    """Reads a compute capability such as `9.0`; AMD's GPUs have other words."""
    found = re.fullmatch(r"(\d+)\.(\d+)", str(capability))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _gpus_of_torch() -> list[Gpu]:
    import torch

    cuda = torch.cuda
    return [
        Gpu(cuda.get_device_name(index), cuda.get_device_capability(index))
        for index in range(cuda.device_count())
    ]


_GPUS_OF: dict[str, Callable[[], list[Gpu]]] = {
    "tensorflow": _gpus_of_tensorflow,
    "jax": _gpus_of_jax,
    "torch": _gpus_of_torch,
}


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
        "gpus": [gpu.name for gpu in _gpus()],
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
