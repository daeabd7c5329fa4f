"""What a run chooses of its training: names with their help, and its seeds.

Imports neither Keras nor TensorFlow, so that flags are defined at once.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from normtest_tf.text import Notify, ignore

NONE = "none"  # An augmentation, and a strategy.

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

FIRST, SEEDED = "first", "seeded"
SUBSETS = {
    FIRST: "the data set's own",
    SEEDED: "a random one, of each split, that the run's seed decides",
}

PAD_CROP_FLIP = "pad_crop_flip"
RANDOM_RESIZED_CROP_FLIP = "random_resized_crop_flip"
FLIP = "flip"
AUGMENTATIONS = {
    PAD_CROP_FLIP: "pad with black, shifted as the images are, by an eighth of the "
    "size, crop back to the size at random, and flip half of the images, as in the "
    "PyTorch study",
    RANDOM_RESIZED_CROP_FLIP: "crop 8% to 100% of the area at random, resize the crop "
    "to the size of the image, and flip half of the images",
    FLIP: "flip half of the images",
    NONE: "leave the images as they are",
}
MAX_PADDED_SIZE = 64  # Networks for larger images are trained on resized crops.

DATA_PARALLEL = "data_parallel"
STRATEGIES = {
    NONE: "one device",
    DATA_PARALLEL: "all devices of this machine share each batch (JAX)",
}


def resolve_augmentation(name: str | None, size: int, notify: Notify = ignore) -> str:
    """Returns the augmentation of images of a size; None stands for the default."""
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
    """Returns by how many pixels an augmentation pads each side: an eighth, or 0."""
    return max(1, size // 8) if name == PAD_CROP_FLIP else 0


def padding_color(padding: int, black: tuple[int, ...]) -> tuple[int, ...] | None:
    """Returns the colour of a padding, what a shift makes of black; None for black."""
    return black if padding and any(black) else None


@dataclasses.dataclass(frozen=True)
class Seeds:
    """The seeds of one run, both below 2**31."""

    data: int  # Determines the order of examples and their augmentation.
    model: int  # Determines initial weights.

    @classmethod
    def split(cls, seed: int) -> Seeds:
        """Derives both from one seed, a non-negative integer."""
        data, model = np.random.SeedSequence(seed).generate_state(2)
        return cls(int(data >> 1), int(model >> 1))
