"""A whole epoch of real images on both sides, step by step, in float64."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np

from experiments.support.parity import cases
from normtest_tf import text

NETWORK = "resnet18"
BATCH_SIZE = 256
# PyTorch is also compared with itself after its weights are changed this much.
PERTURBATION = 1e-15
TITLE = "## A whole epoch"
SHOWN_STEPS = (1, 10, 20, 50, 100, 150, 196)


def write_batches(data_dir: str, path: pathlib.Path) -> None:
    """Writes an epoch of our pipeline for both sides to read."""
    from normtest_tf import datasets
    from normtest_tf.training import pipeline

    dataset = datasets.load("cifar10", datasets.ReadingOptions(data_dir))
    train = pipeline.Split(dataset.train_images, dataset.train_labels)
    data = pipeline.TrainingData(train, {}, seed=0)
    batches = pipeline.training_batches(data, BATCH_SIZE, range(1))
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    np.savez(path, images=np.concatenate(images), labels=np.concatenate(labels))


def _batches(path: pathlib.Path) -> list[tuple[np.ndarray, np.ndarray]]:
    with np.load(path) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    starts = range(BATCH_SIZE, len(labels), BATCH_SIZE)
    return list(zip(np.split(images, starts), np.split(labels, starts), strict=True))


def _normalised(images: np.ndarray) -> np.ndarray:
    return (images / 255 - cases.MEAN) / cases.STD


def ours(path: pathlib.Path) -> list[float]:
    """Returns the loss of every step on our side."""
    from experiments.support.parity import ours as side
    from normtest_tf.training import recipe, training_copy

    batches = _batches(path)
    with side.precision("float64"):
        model = training_copy.make(side.network(NETWORK, 32))
        examples = sum(len(labels) for _, labels in batches)
        recipe.compile_for_training(model, recipe.Recipe(), examples)
        inputs = ((_normalised(images), labels) for images, labels in batches)
        return side.losses_by_step(model, inputs)


def theirs(path: pathlib.Path, perturbation: float = 0.0) -> list[float]:
    """Returns the loss of every step on PyTorch's side."""
    import torch

    from experiments.support.parity import theirs as side

    model = side.network(NETWORK).train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            weight.mul_(1 + perturbation * noise)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for images, labels in _batches(path):
        optimizer.zero_grad()
        inputs = torch.tensor(_normalised(images).transpose(0, 3, 1, 2))
        outputs = model(inputs)
        targets = torch.tensor(labels).long()
        loss = torch.nn.functional.cross_entropy(outputs, targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def section(
    mine: Sequence[float], theirs: Sequence[float], perturbed: Sequence[float]
) -> str:
    """Returns the section of docs/parity.md."""
    reference = np.array(theirs)
    error = abs(np.array(mine) - reference) / abs(reference)
    chaos = abs(np.array(perturbed) - reference) / abs(reference)
    # Up to the first that is larger, or NaN.
    within = [int(np.argmax([*~(e <= 1e-6), True])) for e in (error, chaos)]
    rows = [("step", "PyTorch's loss", "our error", "PyTorch's, perturbed")]
    for step in (*SHOWN_STEPS, len(reference)):
        if step <= len(reference):
            i = step - 1
            losses = f"{reference[i]:.6f}"
            rows.append((str(step), losses, f"{error[i]:.1e}", f"{chaos[i]:.1e}"))
    return f"""{TITLE}

`{NETWORK}` on all of CIFAR10, batch {BATCH_SIZE}, {len(reference)} steps in float64
from the same seeded weights: the relative error of the loss of a step. The last column
is PyTorch against itself, after each of its weights was changed by a relative
{PERTURBATION:.0e}: what training itself makes of a rounding error. Our loss is within
1e-6 of PyTorch's for the first {within[0]} steps, PyTorch's own for the first
{within[1]}.

{text.markdown_table(list(dict.fromkeys(rows)))}
"""
