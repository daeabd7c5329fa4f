"""What a run depends on apart from its flags: devices, precision, versions."""

from __future__ import annotations

import contextlib
import glob
import importlib.metadata
import os
import platform
import re
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

import normtest_tf
from normtest_tf import errors
from normtest_tf.text import Notify
from normtest_tf.training import choices

if TYPE_CHECKING:
    import jax

PACKAGES = ("keras", "tensorflow-datasets", "numpy", "scikit-learn")

_deterministic = False  # TensorFlow has no public way to ask.


def resolve_precision(precision: str) -> str:
    """Turns `auto` into the best Keras dtype policy of the first GPU, or of the CPU."""
    if precision != "auto":
        return precision
    capability = next((capability for _, capability in gpus()), (0, 0))
    if capability >= (8, 0):  # NVIDIA compute capability.
        return "mixed_bfloat16"
    if capability >= (7, 0):
        return "mixed_float16"
    return "float32"


def check_backend(notify: Notify) -> None:
    """Says what makes training with Keras's backend slow."""
    backend = keras.backend.backend()
    if has_hidden_gpu():
        notify(
            f"this machine has an NVIDIA GPU, which {backend} can't see, so the CPU "
            "trains; docs/gpu.md has what to install (CUDA_VISIBLE_DEVICES= says that "
            "it is meant so)"
        )
    if backend == "torch":
        notify("Keras runs the backend torch eagerly, which is slower than the others")


def set_determinism(wanted: bool) -> None:
    """Restricts TensorFlow to deterministic operations, for the whole process."""
    global _deterministic
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


def has_hidden_gpu() -> bool:
    """Tells whether there is an NVIDIA GPU that the backend should see and does not."""
    chosen = [
        os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS")
    ]
    if chosen[0] in ("", "-1") or chosen[1] == "cpu":
        return False
    is_there = shutil.which("nvidia-smi") or glob.glob("/dev/nvidia[0-9]*")
    return bool(is_there) and not gpus()


def device_line(precision: str, devices: int) -> str:
    """Says what trains, for people."""
    names = [name for name, _ in gpus()[:devices]]
    device = ", ".join(names) or f"CPU ({_cpu_name()}, {os.cpu_count()} cores)"
    return f"device: {device}; {keras.backend.backend()}, {precision}"


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


def describe(devices: int = 1) -> dict[str, Any]:
    """Returns versions and hardware, for the record of a run on so many devices."""
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
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cpu_cores": os.cpu_count(),
        # A run uses the first of those that it sees.
        "gpus": [name for name, _ in gpus()[:devices]],
        "devices": devices,
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


def spread(devices: Sequence[str], make: Callable[[], keras.Model]) -> keras.Model:
    """Returns the model that `make` creates; its training uses all devices."""
    if len(devices) == 1:
        return make()
    distribution = _WholeBatches(devices=devices)
    with distribution.scope():
        return _Sharded(make(), distribution)


def find_devices(strategy: str, batch_size: int, notify: Notify) -> tuple[str, ...]:
    """Returns the devices that share each batch; says so if there is only one."""
    if strategy == choices.NONE:
        return ("default",)
    names = tuple(keras.distribution.list_devices())
    if len(names) == 1:
        notify(f"--strategy={strategy} finds one device, {names[0]}: nothing changes")
    elif batch_size % len(names):
        raise errors.UsageError(
            f"--batch_size must be a multiple of the number of devices, {len(names)} "
            f"here, with --strategy={strategy}. Received: {batch_size}"
        )
    return names


def scope_of(model: keras.Model) -> contextlib.AbstractContextManager[object]:
    """Returns where a model's optimizer has to be created."""
    if isinstance(model, _Sharded):
        return model.distribution.scope()
    return contextlib.nullcontext()


class _WholeBatches(keras.distribution.DataParallel):
    """Gives each device whole batches; the program says which part it computes.

    JAX can't divide a batch unevenly, and Keras decides once, by the first batch.
    """

    def get_data_layout(self, data_shape: tuple[int, ...]) -> object:
        axes = [None] * len(data_shape)
        return keras.distribution.TensorLayout(axes, self.device_mesh)

    def shared(self, data_shape: tuple[int, ...]) -> object:
        """Returns the layout of a batch of which each device has a part."""
        return super().get_data_layout(data_shape)


class _Sharded(keras.Model):
    """Computes what one device would, batch statistics included, up to rounding.

    Each device computes the whole of a batch that can't be shared evenly, such as a
    short last one.
    """

    def __init__(self, model: keras.Model, distribution: _WholeBatches) -> None:
        super().__init__(model.inputs, model.outputs[0], name=model.name)
        self.distribution = distribution

    def fit(self, *args: object, **options: object) -> object:
        with self.distribution.scope():
            return super().fit(*args, **options)

    def predict(self, *args: object, **options: object) -> np.ndarray:
        with self.distribution.scope():
            return super().predict(*args, **options)

    def train_step(self, state: Any, data: tuple[jax.Array, ...]) -> Any:  # noqa: ANN401  (Keras's)
        if len(data[0]) % self.distribution.num_model_replicas == 0:
            shared = self.distribution.shared
            distribute = keras.distribution.distribute_tensor
            data = tuple(distribute(each, shared(each.shape)) for each in data)
        return super().train_step(state, data)
