"""This project's side: what `experiments.train` does, measured."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Sequence
from typing import NamedTuple

from experiments.support.speed.work import EPOCHS, Measurement, Work, rate

DEFAULT_BACKEND = "tensorflow"
PACKAGES = ("tensorflow", "keras", "torch", "timm")


class Way(NamedTuple):
    """One way to run a network."""

    backend: str
    precision: str

    def __str__(self) -> str:
        """Describes it for the report, which takes TensorFlow for granted."""
        return self.precision + (
            "" if self.backend == DEFAULT_BACKEND else f" on {self.backend}"
        )


def measure(work: Work, way: Way, started: float) -> Measurement:
    """Trains and evaluates; to be called before Keras is imported."""
    from normtest_tf.system import keras_setup

    keras_setup.choose_backend(way.backend)
    keras_setup.import_tensorflow()
    import keras

    from normtest_tf import backbones, normalization
    from normtest_tf.system import files
    from normtest_tf.training import (
        classifier,
        environment,
        loop,
        pipeline,
        training_copy,
    )
    from normtest_tf.training.recipe import Recipe

    class FirstStep(keras.callbacks.Callback):
        seconds = 0.0

        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            self.seconds = self.seconds or time.time() - started

    images, labels = work.read_images()
    task = classifier.Task(images.shape[1:], work.classes)
    model = training_copy.make(
        classifier.build_classifier(
            backbones.resolve(work.model, "none"),
            normalization.normalization_layer(normalization.IMAGENET, task.image_shape),
            task,
            seed=0,
            precision=environment.resolve_precision(way.precision),
        )
    )
    rows: list[dict[str, float]] = []
    first = FirstStep()
    split = pipeline.Split(images, labels)
    data = pipeline.TrainingData(split, {}, seed=0)
    loop.fit(
        model,
        Recipe(epochs=EPOCHS, batch_size=work.batch_size),
        data,
        rows.append,
        callbacks=[first],
    )
    peak = files.peak_mebibytes()
    batches = pipeline.evaluation_batches(split, work.batch_size)
    evaluations = []
    for _ in range(2):
        begun = time.perf_counter()
        loop.evaluate(model, batches, labels)
        evaluations.append(len(images) / (time.perf_counter() - begun))
    return Measurement(
        training=rows[-1]["images_per_second"],
        evaluation=evaluations[-1],
        pipeline=rate(pipeline.training_batches(data, work.batch_size, range(4))),
        first_step=first.seconds,
        peak_memory=peak,
    )


def environment(backends: Sequence[str]) -> dict[str, str]:
    """Returns the machine, as the first backend sees it, and versions of packages."""
    from normtest_tf.system import keras_setup

    keras_setup.choose_backend(backends[0])
    keras_setup.import_tensorflow()
    from normtest_tf.training import environment as training_environment

    found = training_environment.describe()
    device = ", ".join(found["gpus"]) or f"{found['cpu']}, {found['cpu_cores']} cores"
    names = dict.fromkeys((*PACKAGES, *backends))
    versions = {  # TensorFlow's package may be tensorflow-cpu.
        name: found.get(name) or importlib.metadata.version(name) for name in names
    }
    return {"device": device, **versions}
