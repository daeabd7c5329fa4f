"""PyTorch's sides.

`eager` does what the PyTorch study does: float32, a DataLoader of PIL images. `tuned`
is the fastest way that we know of on this device: images as tensors in memory,
augmented by batches, the fused Adam, channels last, and what `candidates` lists.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from experiments.support import pytorch
from experiments.support.speed.work import EPOCHS, Measurement, Work, rate

timm = pytorch.import_module("timm")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PADDING = 4
CALIBRATION_STEPS = 5

Batches = Callable[[], Iterator[tuple[torch.Tensor, torch.Tensor]]]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One way to run a network."""

    bfloat16: bool = False  # By autocast.
    compile_mode: str | None = None  # Of `torch.compile`; None runs eagerly.
    is_tuned: bool = True  # With channels last and the fused Adam.

    def __str__(self) -> str:
        """Describes it for the report."""
        words = ["channels last"] if self.is_tuned else []
        words.append("bfloat16" if self.bfloat16 else "float32")
        words += [f"compiled ({self.compile_mode})"] if self.compile_mode else []
        return ", ".join(words)


def candidates() -> list[Candidate]:
    """Returns what the tuned side chooses from."""
    modes = [None, "default"]
    if torch.cuda.is_available():
        modes.append("max-autotune")  # With CUDA graphs.
    return [Candidate(b, mode) for b in (False, True) for mode in modes]


class Trainer:
    """A network in training."""

    def __init__(
        self, work: Work, candidate: Candidate, *, is_frozen: bool = False
    ) -> None:
        self._is_frozen = is_frozen  # All but the head.
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        layout = torch.channels_last if candidate.is_tuned else torch.contiguous_format
        network = timm.create_model(work.model, num_classes=work.classes)
        self._network = network.to(self._device, memory_format=layout)
        if is_frozen:
            network.requires_grad_(False).get_classifier().requires_grad_(True)
        self._forward = self._network
        if candidate.compile_mode:
            self._forward = torch.compile(self._network, mode=candidate.compile_mode)
        self._optimizer = torch.optim.Adam(
            self._network.parameters(), lr=1e-3, fused=candidate.is_tuned or None
        )
        self._autocast = functools.partial(
            torch.autocast, self._device, torch.bfloat16, enabled=candidate.bfloat16
        )

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Trains on one batch; returns the loss."""
        self._network.train(not self._is_frozen)
        with self._autocast():
            logits = self._forward(images.to(self._device))
        targets = labels.to(self._device)
        loss = torch.nn.functional.cross_entropy(logits.float(), targets)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss

    def evaluate(self, batches: Batches) -> float:
        """Returns the accuracy."""
        self._network.eval()
        correct, count = 0, 0
        with torch.inference_mode(), self._autocast():
            for images, labels in batches():
                logits = self._forward(images.to(self._device))
                correct += (logits.argmax(1) == labels.to(self._device)).sum()
                count += len(labels)
        return float(correct) / count


def eager(work: Work, workers: int, started: float) -> Measurement:
    """Trains and evaluates as the PyTorch study does."""
    loader = functools.partial(study_loader, work, workers)
    training, evaluation = loader(augment=True), loader(augment=False)
    trainer = Trainer(work, Candidate(is_tuned=False))
    return _measure(
        trainer, lambda: iter(training), lambda: iter(evaluation), work, started
    )


def tuned(work: Work, candidate: Candidate, started: float) -> Measurement:
    """Trains and evaluates as fast as we know how; see `eager`."""
    images, labels = _tensors(work)
    return _measure(
        Trainer(work, candidate),
        functools.partial(_batches, images, labels, work.batch_size, augment=True),
        functools.partial(_batches, images, labels, work.batch_size, augment=False),
        work,
        started,
    )


def try_candidate(work: Work, candidate: Candidate) -> float:
    """Returns the images/s of a few training steps, pipeline included."""
    images, labels = _tensors(work)
    trainer = Trainer(work, candidate)
    seconds = []
    batches = _batches(images, labels, work.batch_size, augment=True)
    for number in range(2 + CALIBRATION_STEPS):
        started = time.perf_counter()
        batch = next(batches, None)
        if batch is None or len(batch[1]) < min(work.batch_size, len(labels)):
            batches = _batches(images, labels, work.batch_size, augment=True)
            batch = next(batches)
        trainer.step(*batch).item()
        if number >= 2:
            seconds.append(time.perf_counter() - started)
    return min(work.batch_size, len(labels)) / sorted(seconds)[len(seconds) // 2]


def _measure(
    trainer: Trainer, training: Batches, evaluation: Batches, work: Work, started: float
) -> Measurement:
    from normtest_tf.system import files

    first_step = 0.0

    def steps() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        nonlocal first_step
        for images, labels in training():
            loss = trainer.step(images, labels).item()
            assert np.isfinite(loss)
            first_step = first_step or time.time() - started
            yield images, labels

    training_rates = [rate(steps()) for _ in range(EPOCHS)]
    peak = files.peak_mebibytes()
    count = len(work.read_images()[1])
    evaluations = []
    for _ in range(2):
        begun = time.perf_counter()
        trainer.evaluate(evaluation)
        evaluations.append(count / (time.perf_counter() - begun))
    return Measurement(
        training=training_rates[-1],
        evaluation=evaluations[-1],
        pipeline=rate(training()),
        first_step=first_step,
        peak_memory=peak,
    )


def _tensors(work: Work) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns all images, uint8 NHWC and padded, and labels, on the device."""
    images, labels = work.read_images()
    border = (PADDING, PADDING)
    padded = np.pad(images, ((0, 0), border, border, (0, 0)))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.tensor(padded).to(device), torch.tensor(labels).long().to(device)


def _batches(
    padded: torch.Tensor, labels: torch.Tensor, batch_size: int, *, augment: bool
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yields normalised batches `[n, 3, height, width]`, channels last in memory."""
    device, count = padded.device, len(labels)
    size = padded.shape[1] - 2 * PADDING
    order = torch.randperm(count) if augment else torch.arange(count)
    steps = torch.arange(size, device=device)
    mean, std = (255 * torch.tensor(x, device=device) for x in (MEAN, STD))
    for chosen in order.to(device).split(batch_size):
        if augment:
            corners = torch.randint(0, 2 * PADDING + 1, (2, len(chosen), 1))
            rows, columns = corners.to(device) + steps
            flips = torch.rand(len(chosen), 1, device=device) < 0.5
            columns = torch.where(flips, columns.flip(1), columns)
            images = padded[
                chosen[:, None, None], rows[:, :, None], columns[:, None, :]
            ]
        else:
            inside = slice(PADDING, PADDING + size)
            images = padded[chosen, inside, inside]
        yield ((images - mean) / std).permute(0, 3, 1, 2), labels[chosen]


def study_loader(
    work: Work, workers: int, *, augment: bool
) -> torch.utils.data.DataLoader:
    """Returns the PyTorch study's loader: PIL images, one by one, in workers."""
    transforms = pytorch.import_module("torchvision.transforms")
    images, labels = work.read_images()
    steps = [transforms.ToPILImage()]
    if augment:
        steps += [
            transforms.RandomCrop(images.shape[1], padding=PADDING),
            transforms.RandomHorizontalFlip(),
        ]
    transform = transforms.Compose(
        [*steps, transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    )

    class Images(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return transform(images[index]), int(labels[index])

    return torch.utils.data.DataLoader(
        Images(),
        batch_size=work.batch_size,
        shuffle=augment,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )
