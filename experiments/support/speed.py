"""The two sides of experiments.benchmark; each runs in its own process."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from normtest_tf.datasets import ImageDataset
    from normtest_tf.training.epochs import EpochRow

EPOCHS = 2  # The first one compiles and warms up, the second is measured.


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What one side achieved.

    Attributes:
        images_per_second: The training rate in the last epoch.
        peak_memory_mib: The peak memory of the process; None if unknown.
    """

    images_per_second: float
    peak_memory_mib: float | None

    @classmethod
    def of_this_process(cls, images_per_second: float) -> Measurement:
        """Returns a rate with the peak memory of this process so far."""
        from normtest_tf.system import memory

        return cls(images_per_second, memory.peak_mebibytes())


@dataclasses.dataclass(frozen=True)
class Work:
    """The task of both sides.

    Attributes:
        folder: The folder with the images.
        model: The network's name, here and in timm.
        classes: The number of classes.
        batch_size: Images in a batch.
    """

    folder: pathlib.Path
    model: str
    classes: int
    batch_size: int

    def write_images(self, dataset: ImageDataset) -> None:
        """Writes the training images for the two sides to read."""
        np.save(self.folder / "images.npy", dataset.train_images)
        np.save(self.folder / "labels.npy", dataset.train_labels)

    def read_images(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns uint8 images `[n, height, width, 3]` and int32 labels `[n]`."""
        return np.load(self.folder / "images.npy"), np.load(self.folder / "labels.npy")


def train_keras(work: Work) -> Measurement:
    """Trains as `experiments.train` does; returns rate and peak memory."""
    from normtest_tf.system import quiet

    quiet.import_tensorflow()
    from normtest_tf import backbones, normalization
    from normtest_tf.training import classifier, environment, loop, training_copy
    from normtest_tf.training.recipe import Recipe

    images, labels = work.read_images()
    task = classifier.Task(images.shape[1:], work.classes)
    model = classifier.build_classifier(
        backbones.resolve(work.model, "none"),
        normalization.normalization_layer(normalization.IMAGENET, task.image_shape),
        task,
        seed=0,
        precision=environment.resolve_precision("auto"),
    )
    rows: list[EpochRow] = []
    loop.fit(
        training_copy.make(model),
        Recipe(epochs=EPOCHS, batch_size=work.batch_size),
        loop.TrainingData(loop.Split(images, labels), {}, seed=0),
        rows.append,
    )
    return Measurement.of_this_process(rows[-1]["images_per_second"])


def train_pytorch(work: Work, workers: int) -> Measurement:
    """Trains as the PyTorch study does; returns rate and peak memory."""
    import torch

    from experiments.support import pytorch

    timm = pytorch.import_module("timm")
    images, labels = work.read_images()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = timm.create_model(work.model, num_classes=work.classes)
    network = network.to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = _pytorch_study_loader(images, labels, work.batch_size, workers)
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
    return Measurement.of_this_process(len(images) / seconds)


def _pytorch_study_loader(
    images: np.ndarray, labels: np.ndarray, batch_size: int, workers: int
) -> torch.utils.data.DataLoader:
    """Returns the PyTorch study's loader: PIL images, one by one, in workers."""
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
