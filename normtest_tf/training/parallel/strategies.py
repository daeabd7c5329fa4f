"""How a run uses the machine's devices: names, help, and what contradicts them."""

from __future__ import annotations

from normtest_tf import errors

NONE, DATA_PARALLEL = "none", "data_parallel"
DESCRIPTIONS = {
    NONE: "one device",
    DATA_PARALLEL: "all devices of this machine share each batch (TensorFlow and JAX)",
}
SYNC_HELP = (
    "With --strategy=data_parallel on TensorFlow, use batch normalization's statistics "
    "of the whole batch, as one device does. Default: each device uses those of its own "
    "share, as PyTorch's DistributedDataParallel does. On JAX they are the whole "
    "batch's in any case."
)


def check(strategy: str, *, sync_batch_norm: bool) -> None:
    """Checks flags against each other.

    Args:
        strategy: A key of `DESCRIPTIONS`.
        sync_batch_norm: Whether batch statistics are to be those of the whole batch.

    Raises:
        UsageError: If there is nothing to synchronise.
    """
    if sync_batch_norm and strategy == NONE:
        raise errors.UsageError(
            f"--sync_batch_norm needs --strategy={DATA_PARALLEL}; on one device batch "
            "statistics are the whole batch's anyway"
        )
