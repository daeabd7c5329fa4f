"""How a data set is read: options that every kind of data set has."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from normtest_tf import errors
from normtest_tf.datasets import shifts
from normtest_tf.system import memory

MAX_IMAGE_SIZE = 1024
RESIZES = ("squash", "crop", "pad")
TEST_FRACTION = 0.2


@dataclasses.dataclass(frozen=True)
class ReadingOptions:
    """How to read a data set.

    Attributes:
        data_dir: The folder where TFDS keeps prepared data, or where the Tiny ImageNet
            archive was unpacked; None for TFDS's default. Folders and CSV files ignore
            it.
        image_size: Height and width in pixels to which images are resized; None to
            keep their own size, which must be the same square for all of them.
        resize: How an image that is no square becomes one: `squash` changes its
            proportions, `crop` takes the centre, `pad` adds black borders.
        train_split: What to train on: a split of TFDS, perhaps a slice of one, a folder
            next to the others, or a value in the column `split`; None for `train`.
        test_split: What to test on; None for `test`, or one of the other usual names.
        test_fraction: The share of each class to test on, of data without a test split;
            None for `TEST_FRACTION`.
        split_seed: Decides which images these are; None for 0.
        memory_budget: How many bytes of decoded images to keep in memory; more are
            decoded again whenever they are needed. None for half of what is free.
        shift: What is done to all images; see `shifts`.
        batch_size: The number of images that the budget must hold at least.
    """

    data_dir: str | None = None
    image_size: int | None = None
    resize: str = "squash"
    train_split: str | None = None
    test_split: str | None = None
    test_fraction: float | None = None
    split_seed: int | None = None
    memory_budget: int | None = None
    shift: str = shifts.NONE
    batch_size: int = 1

    @classmethod
    def among(
        cls,
        values: Mapping[str, Any],
        **others: Any,  # noqa: ANN401  (any option)
    ) -> ReadingOptions:
        """Takes those of the options that are among values and not None.

        Args:
            values: By name, such as what a run's `config.json` has as requested.
            **others: Options that take precedence.
        """
        names = (field.name for field in dataclasses.fields(cls))
        given = {name: values.get(name) for name in names} | others
        return cls(**{name: one for name, one in given.items() if one is not None})

    def check(self) -> None:
        """Raises `UsageError` if a value is not allowed."""
        if self.image_size is not None and not 1 <= self.image_size <= MAX_IMAGE_SIZE:
            raise errors.UsageError(
                f"--image_size must be from 1 to {MAX_IMAGE_SIZE}. "
                f"Received: {self.image_size}"
            )
        if self.resize not in RESIZES:
            raise errors.unknown_name("value of --resize", self.resize, list(RESIZES))
        shifts.parse(self.shift)
        if self.test_fraction is not None and not 0 < self.test_fraction < 1:
            raise errors.UsageError(
                "--test_fraction must be above 0 and below 1. "
                f"Received: {self.test_fraction}"
            )

    def fits(self, examples: int, batch: int, image_bytes: int) -> bool:
        """Tells whether decoded images can stay in memory.

        Args:
            examples: How many there are in all splits.
            batch: The number of images in the largest batch.
            image_bytes: The size of one.

        Raises:
            UsageError: If there is no room for a single batch.
        """
        budget = self.memory_budget
        if budget is None:
            budget = memory.free_bytes() // 2
        elif batch * image_bytes > budget:
            needed = -(-batch * image_bytes // 1000)
            raise errors.UsageError(
                f"--memory_budget={memory.in_words(budget)} does not hold a batch of "
                f"{batch} images. Pass {needed}KB or more, or have fewer or smaller "
                "images in a batch (--batch_size, --image_size)"
            )
        return examples * image_bytes <= budget
