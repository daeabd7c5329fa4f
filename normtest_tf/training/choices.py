"""What a run chooses of its training: names with their help, and its seeds.

Imports neither Keras nor TensorFlow, so that flags are defined at once.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from normtest_tf import errors
from normtest_tf.system import keras_setup
from normtest_tf.text import Notify, ignore

NONE = "none"  # Of augmentations and strategies.

ALL, HEAD, FROZEN_BN = "all", "head", "frozen_bn"
REGIMES = {
    ALL: "all layers",
    HEAD: "the new head on a frozen backbone in evaluation mode",
    FROZEN_BN: "all layers but batch normalization, which stays in evaluation mode",
}

ADAM, SGD = "adam", "sgd"
OPTIMIZERS = {
    ADAM: "as in the PyTorch study",
    SGD: "with momentum 0.9 and no weight decay",
}

PAD_CROP_FLIP = "pad_crop_flip"
RANDOM_RESIZED_CROP_FLIP = "random_resized_crop_flip"
FLIP = "flip"
AUGMENTATIONS = {
    PAD_CROP_FLIP: "pad with black by an eighth of the size, crop back to the size at "
    "random, and flip half of the images, as in the PyTorch study",
    RANDOM_RESIZED_CROP_FLIP: "crop 8% to 100% of the area at random, resize the crop "
    "to the size of the image, and flip half of the images",
    FLIP: "flip half of the images",
    NONE: "leave the images as they are",
}
MAX_PADDED_SIZE = 64  # Networks for larger images are trained on resized crops.

DATA_PARALLEL = "data_parallel"
PARALLEL = f"--strategy={DATA_PARALLEL}"
STRATEGIES = {
    NONE: "one device",
    DATA_PARALLEL: "all devices of this machine share each batch (TensorFlow and JAX)",
}
SPREADING = ("tensorflow", "jax")
SYNC_HELP = (
    "With --strategy=data_parallel on TensorFlow, normalise with the batch statistics "
    "of the whole batch, as one device does. Default: each device uses those of its "
    "share, as PyTorch's DistributedDataParallel does. On JAX they are the whole "
    "batch's in any case."
)


def resolve_augmentation(name: str | None, size: int, notify: Notify = ignore) -> str:
    """Returns the augmentation that a run uses.

    Args:
        name: One of `AUGMENTATIONS`, or None for the default.
        size: Height and width of the images, in pixels.
        notify: Called with a line if the default is not the PyTorch study's.
    """
    if name is not None:
        return name
    if size <= MAX_PADDED_SIZE:
        return PAD_CROP_FLIP
    notify(
        f"--augmentation={RANDOM_RESIZED_CROP_FLIP}, the default for images of more "
        f"than {MAX_PADDED_SIZE} pixels a side (these have {size}); the PyTorch "
        f"study's is {PAD_CROP_FLIP}"
    )
    return RANDOM_RESIZED_CROP_FLIP


def padding(name: str, size: int) -> int:
    """Returns by how many pixels an augmentation pads each side of an image.

    Args:
        name: One of `AUGMENTATIONS`.
        size: Height and width of the images, in pixels.

    Returns:
        An eighth of the size, and at least 1: 4 at 32 pixels, as in the PyTorch study.
        0 for an augmentation that does not pad.
    """
    return max(1, size // 8) if name == PAD_CROP_FLIP else 0


def check_warmup(warmup_epochs: int, epochs: int) -> None:
    """Raises `UsageError` unless the warm-up is a part of the training.

    Args:
        warmup_epochs: The number of epochs in which the learning rate rises.
        epochs: The number of epochs.
    """
    if not 0 <= warmup_epochs <= epochs:
        raise errors.UsageError(
            f"--warmup_epochs must be from 0 to --epochs={epochs}. "
            f"Received: {warmup_epochs}"
        )


def check_strategy(strategy: str, *, sync_batch_norm: bool, precision: str) -> None:
    """Checks flags against each other and the backend, without importing Keras.

    Args:
        strategy: A key of `STRATEGIES`.
        sync_batch_norm: Whether batch statistics are to be those of the whole batch.
        precision: A Keras dtype policy, or `auto`.

    Raises:
        UsageError: If there is nothing to synchronise, or the backend can't train that
            way.
    """
    if strategy == NONE:
        if sync_batch_norm:
            raise errors.UsageError(
                f"--sync_batch_norm needs {PARALLEL}; on one device batch "
                "statistics are the whole batch's anyway"
            )
        return
    backend = keras_setup.backend()
    if backend not in SPREADING:
        raise errors.UsageError(
            f"{PARALLEL} needs --backend={' or '.join(SPREADING)}. Received: the "
            f"backend {backend}"
        )
    if backend == "tensorflow":
        _check_tensorflow(precision)


def _check_tensorflow(precision: str) -> None:
    """Raises `UsageError` for what Keras on TensorFlow gets wrong, or can't do."""
    if os.environ.get("TF_CONFIG"):
        raise errors.UsageError(
            f"TF_CONFIG is set, which asks for several hosts, but {PARALLEL} uses the "
            "devices of one: Keras 3 on TensorFlow does not train on more. Unset it"
        )
    if precision == "mixed_float16":
        raise errors.UsageError(
            f"{PARALLEL} can't use --precision=mixed_float16 with "
            "--backend=tensorflow: Keras looks for overflows on the first "
            "device alone. Pass another --precision or --backend=jax"
        )


@dataclasses.dataclass(frozen=True)
class Seeds:
    """The seeds of one run.

    Attributes:
        data: Determines the order of examples and their augmentation; below 2**31.
        model: Determines initial weights; below 2**31.
    """

    data: int
    model: int

    @classmethod
    def split(cls, seed: int) -> Seeds:
        """Derives both from one seed, a non-negative integer.

        Example:
        ```python
        assert Seeds.split(223) == Seeds.split(223)
        ```
        """
        data, model = np.random.SeedSequence(seed).generate_state(2)
        return cls(int(data >> 1), int(model >> 1))
