"""The augmentations by name, and which of them a run uses."""

from __future__ import annotations

from normtest_tf.text import Notify, ignore

PAD_CROP_FLIP = "pad_crop_flip"
RANDOM_RESIZED_CROP_FLIP = "random_resized_crop_flip"
FLIP = "flip"
NONE = "none"
DESCRIPTIONS = {
    PAD_CROP_FLIP: "pad with black by an eighth of the size, crop back to the size at "
    "random, and flip half of the images, as in the PyTorch study",
    RANDOM_RESIZED_CROP_FLIP: "crop 8% to 100% of the area at random, resize the crop "
    "to the size of the image, and flip half of the images",
    FLIP: "flip half of the images",
    NONE: "leave the images as they are",
}
NAMES = tuple(DESCRIPTIONS)
MAX_PADDED_SIZE = 64  # Networks for larger images are trained on resized crops.


def resolve(name: str | None, size: int, notify: Notify = ignore) -> str:
    """Returns the augmentation that a run uses.

    Args:
        name: One of `NAMES`, or None for the default.
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
        name: One of `NAMES`.
        size: Height and width of the images, in pixels.

    Returns:
        An eighth of the size, and at least 1: 4 at 32 pixels, as in the PyTorch study.
        0 for an augmentation that does not pad.
    """
    return max(1, size // 8) if name == PAD_CROP_FLIP else 0
