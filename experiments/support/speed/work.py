"""The task of all sides, and what a side achieves."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing
import pathlib
import time
from collections.abc import Callable, Iterable, Sized
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from normtest_tf.datasets import Images

EPOCHS = 2  # The first one compiles and warms up, the last is measured.

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What one side achieved: rates in images/s, with the input pipeline."""

    training: float  # In the last epoch; PyTorch's without the first step.
    evaluation: float
    pipeline: float  # Alone, augmentation included, from the first batch to the last.
    first_step: float  # Seconds from the start of the process to its end.
    peak_memory: float | None  # In MiB; None if unknown.


@dataclasses.dataclass(frozen=True)
class Work:
    """The task of all sides."""

    folder: pathlib.Path  # With the images.
    model: str  # Here and in timm.
    classes: int
    batch_size: int

    def write(self, images: Images, labels: np.ndarray) -> None:
        """Writes the images for the sides to read."""
        np.save(self.folder / "images.npy", images)
        np.save(self.folder / "labels.npy", labels)

    def read_images(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns uint8 images `[n, height, width, 3]` and integer labels `[n]`."""
        return np.load(self.folder / "images.npy"), np.load(self.folder / "labels.npy")


def in_new_process(function: Callable[..., Result], *args: object) -> Result:
    """Calls a function in a process of its own, so that peak memory is its own."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *args).result()


def rate(batches: Iterable[tuple[object, Sized]]) -> float:
    """Returns the images per second of a pass, from its first batch to its last.

    Starting worker processes and tracing graphs is left out: it takes the same time
    however long an epoch is.
    """
    rest = iter(batches)
    next(rest)
    started = time.perf_counter()
    images = sum(len(labels) for _, labels in rest)
    return images / (time.perf_counter() - started)
