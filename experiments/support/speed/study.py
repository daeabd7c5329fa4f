"""A list of short runs, as studies have them: here, and with eager PyTorch.

Either side does all runs in one process: it builds the network, trains it with
augmentation, and evaluates it after each epoch. Ours loads weights from a file for each
run; PyTorch starts from random ones, which takes less time.
"""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from experiments.support.speed.ours import Way
from experiments.support.speed.work import Work, in_new_process

if TYPE_CHECKING:
    from normtest_tf.datasets import ImageDataset

RUNS, EPOCHS = 8, 4
SETTINGS = ("pretrain", "finetune")
WEIGHTS = "weights.safetensors"


def compare(
    dataset: ImageDataset,
    work: Work,
    train: str,
    way: Way,
    *,
    workers: int,
    rounds: int,
) -> str:
    """Measures both sides in turn; returns a line with medians and their ratio."""
    in_new_process(write_weights, work, dataset.image_shape)
    sides: dict[str, Callable[[], float]] = {
        f"ours, {way}": lambda: in_new_process(ours, dataset, work, train, way),
        "PyTorch, eager": lambda: in_new_process(theirs, dataset, work, train, workers),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            seconds[name].append(run())
    mine, other = (statistics.median(values) for values in seconds.values())
    found = ", ".join(
        f"{name} {' '.join(f'{value:.1f}' for value in values)} s"
        for name, values in seconds.items()
    )
    return f"{work.model}, {train}, {RUNS} runs: {found}; ratio {other / mine:.2f}"


def write_weights(work: Work, image_shape: tuple[int, int, int]) -> None:
    """Writes random weights, as a file of pre-trained ones."""
    from normtest_tf.system import keras_setup

    keras_setup.import_tensorflow()
    from normtest_tf import backbones
    from normtest_tf.backbones import weights

    network = backbones.resolve(work.model, "none").build(image_shape)
    weights.save_file(network, work.folder / WEIGHTS)


def ours(dataset: ImageDataset, work: Work, train: str, way: Way) -> float:
    """Returns the seconds of all runs, imports left out."""
    from normtest_tf.system import keras_setup

    keras_setup.choose_backend(way.backend)
    keras_setup.import_tensorflow()
    from normtest_tf.runs import RunConfig, finetuning

    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(
            model=work.model,
            weights=str(work.folder / WEIGHTS),
            epochs=EPOCHS,
            batch_size=work.batch_size,
            train=train,
            precision=way.precision,
            results_dir=folder,
        )
        started = time.perf_counter()
        for number in range(RUNS):
            setting = SETTINGS[number % len(SETTINGS)]
            run = dataclasses.replace(config, normalization=setting, seed=number)
            finetuning.run(run, dataset)
        return time.perf_counter() - started


def theirs(dataset: ImageDataset, work: Work, train: str, workers: int) -> float:
    """Returns the seconds of all runs with PyTorch, imports left out."""
    from experiments.support.speed import theirs as side

    with tempfile.TemporaryDirectory() as folder:
        test = dataclasses.replace(work, folder=pathlib.Path(folder))
        test.write(dataset.test_images, dataset.test_labels)
        candidate = side.Candidate(is_tuned=False)
        started = time.perf_counter()
        for _ in range(RUNS):
            training = side.study_loader(work, workers, augment=True)
            evaluation = side.study_loader(test, workers, augment=False)
            trainer = side.Trainer(work, candidate, is_frozen=train == "head")
            for _ in range(EPOCHS):
                for images, labels in training:
                    trainer.step(images, labels).item()
                trainer.evaluate(evaluation.__iter__)
        return time.perf_counter() - started
