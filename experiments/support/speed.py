"""The two sides of experiments.benchmark; each runs in a process of its own."""

from __future__ import annotations

import importlib.util
import pathlib
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from normtest_tf.datasets import ImageDataset

EPOCHS = 2  # The first one compiles and warms up, the second is measured.

for _name in ("torch", "timm", "torchvision"):
    if importlib.util.find_spec(_name) is None:
        raise ImportError(f"{_name} is not installed", name=_name)


def write_images(folder: pathlib.Path, dataset: ImageDataset) -> None:
    """Writes the training images for the two sides to read."""
    np.save(folder / "images.npy", dataset.train_images)
    np.save(folder / "labels.npy", dataset.train_labels)


def _read_images(folder: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads them: uint8 `[n, height, width, 3]` and int32 `[n]`."""
    path = pathlib.Path(folder)
    return np.load(path / "images.npy"), np.load(path / "labels.npy")


def train_keras(
    folder: str, model: str, classes: int, batch_size: int
) -> dict[str, float]:
    """Trains as `experiments.train` does; returns rate and peak memory."""
    from normtest_tf.system import quiet

    quiet.import_tensorflow()
    from normtest_tf import backbones, normalization, training
    from normtest_tf.system import memory
    from normtest_tf.training import classifier, environment, pytorch_semantics

    images, labels = _read_images(folder)
    built, _ = classifier.build_classifier(
        backbones.resolve(model, "none"),
        normalization.IMAGENET,
        image_shape=images.shape[1:],
        num_classes=classes,
        seed=0,
        precision=environment.resolve_precision("auto"),
    )
    rows: list[dict[str, float]] = []
    training.fit(
        pytorch_semantics.with_pytorch_batch_norm(built),
        training.Recipe(epochs=EPOCHS, batch_size=batch_size),
        training.Split(images, labels),
        {},
        data_seed=0,
        on_row=rows.append,
    )
    return {
        "images_per_second": rows[-1]["images_per_second"],
        "peak_memory_mib": memory.mebibytes(),
    }


def train_pytorch(
    folder: str, model: str, classes: int, batch_size: int, workers: int
) -> dict[str, float]:
    """Trains as the reference does; returns rate and peak memory."""
    import torch

    from experiments.support import pytorch
    from normtest_tf.system import memory

    timm = pytorch.import_module("timm")

    images, labels = _read_images(folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = timm.create_model(model, num_classes=classes).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = _reference_loader(images, labels, batch_size, workers)
    seconds = 0.0
    for _ in range(EPOCHS):
        started = time.perf_counter()
        for batch, targets in loader:
            logits = network(batch.to(device))
            loss = torch.nn.functional.cross_entropy(logits, targets.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        seconds = time.perf_counter() - started
    return {
        "images_per_second": len(images) / seconds,
        "peak_memory_mib": memory.mebibytes(),
    }


def _reference_loader(
    images: np.ndarray, labels: np.ndarray, batch_size: int, workers: int
) -> torch.utils.data.DataLoader:
    """Returns the reference's loader: PIL images, one by one, in worker processes."""
    import torch
    from torchvision import transforms

    transform = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.RandomCrop(images.shape[1], padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

    class Images(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return transform(images[index]), int(labels[index])

    return torch.utils.data.DataLoader(
        Images(),
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )
