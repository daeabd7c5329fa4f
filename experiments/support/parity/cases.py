"""The inputs of both sides, from NumPy's RandomState, whose streams never change."""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np

NETWORKS = ("resnet18", "resnet50", "densenet121", "densenet161")
SIZES = (32, 224)
CLASSES = 10

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class TwentySteps:
    """Twenty training steps: four epochs, each with a smaller last batch."""

    examples: int = 38
    batch_size: int = 8
    epochs: int = 4
    learning_rate: float = 1e-3

    def batches(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns the images and labels of each step; every epoch has its own order."""
        images, labels = batch(32, self.examples, seed=7)
        random = np.random.RandomState(8)
        found = []
        for _ in range(self.epochs):
            order = random.permutation(self.examples)
            for start in range(0, self.examples, self.batch_size):
                chosen = order[start : start + self.batch_size]
                found.append((images[chosen], labels[chosen]))
        return found


def batch(size: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns normalised images `[n, size, size, 3]`, float64, and labels `[n]`."""
    random = np.random.RandomState(seed)
    images = random.standard_normal((count, size, size, 3))
    return images, random.randint(0, CLASSES, count)


def step_images(size: int) -> int:
    """Returns the number of images in a training step."""
    return 8 if size == 32 else 2


def tensors(
    shapes: dict[str, tuple[int, ...]], *, damped: bool = False
) -> dict[str, np.ndarray]:
    """Returns weights in PyTorch's layout, each seeded by its tensor's name.

    No tensor has its initial value, so a forgotten scale is noticed. All are float64
    and exact in float32. `damped` divides the residual branches of bottlenecks by 4, as
    trained networks have small ones: at full strength, training is chaotic.
    """
    found = {name: _tensor(name, shape) for name, shape in shapes.items()}
    if damped:
        found |= {k: v / 4 for k, v in found.items() if k.endswith(".bn3.weight")}
    return found


def _tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns one tensor."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith(".weight")):
        values = random.uniform(0.5, 1.5, shape)
    elif len(shape) == 1:
        values = 0.2 * random.standard_normal(shape)
    else:
        values = random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return values.astype(np.float32).astype(np.float64)


def raw_images() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns uint8 images, crop offsets (row, column; 0 to 8) and flips."""
    random = np.random.RandomState(1)
    images = random.randint(0, 256, (6, 32, 32, 3)).astype(np.uint8)
    offsets = np.array([(0, 0), (8, 8), (4, 4), (0, 8), (3, 7), (5, 1)], np.int32)
    return images, offsets, np.array([False, True, True, False, True, False])
