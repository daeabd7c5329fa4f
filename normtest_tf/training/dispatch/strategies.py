"""How a run uses the machine's devices: names, help, and what contradicts them."""

from __future__ import annotations

import os

from normtest_tf import errors
from normtest_tf.system import keras_setup

NONE, DATA_PARALLEL = "none", "data_parallel"
FLAG = f"--strategy={DATA_PARALLEL}"
DESCRIPTIONS = {
    NONE: "one device",
    DATA_PARALLEL: "all devices of this machine share each batch (TensorFlow and JAX)",
}
BACKENDS = ("tensorflow", "jax")
SYNC_HELP = (
    "With --strategy=data_parallel on TensorFlow, normalise with the batch statistics "
    "of the whole batch, as one device does. Default: each device uses those of its "
    "share, as PyTorch's DistributedDataParallel does. On JAX they are the whole "
    "batch's in any case."
)


def check(strategy: str, *, sync_batch_norm: bool, precision: str) -> None:
    """Checks flags against each other and the backend, without importing Keras.

    Args:
        strategy: A key of `DESCRIPTIONS`.
        sync_batch_norm: Whether batch statistics are to be those of the whole batch.
        precision: A Keras dtype policy, or `auto`.

    Raises:
        UsageError: If there is nothing to synchronise, or the backend can't train that
            way.
    """
    if strategy == NONE:
        if sync_batch_norm:
            raise errors.UsageError(
                f"--sync_batch_norm needs {FLAG}; on one device batch statistics are "
                "the whole batch's anyway"
            )
        return
    backend = keras_setup.backend()
    if backend not in BACKENDS:
        raise errors.UsageError(
            f"{FLAG} needs --backend={' or '.join(BACKENDS)}. Received: the backend "
            f"{backend}"
        )
    if backend == "tensorflow":
        _check_tensorflow(precision)


def _check_tensorflow(precision: str) -> None:
    """Raises `UsageError` for what Keras on TensorFlow gets wrong, or can't do."""
    if os.environ.get("TF_CONFIG"):
        raise errors.UsageError(
            f"TF_CONFIG is set, which asks for several hosts, but {FLAG} uses the "
            "devices of one: Keras 3 on TensorFlow does not train on more. Unset it"
        )
    if precision == "mixed_float16":
        raise errors.UsageError(
            f"{FLAG} can't use --precision=mixed_float16 with --backend=tensorflow: "
            "Keras looks for overflows on the first device alone. Pass another "
            "--precision or --backend=jax"
        )
