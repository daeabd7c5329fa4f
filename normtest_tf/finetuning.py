"""One run, end to end: from a configuration to a folder of results."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from normtest_tf import (
    classifier,
    datasets,
    environment,
    errors,
    files,
    normalization,
    peak_memory,
    progress,
    pytorch_semantics,
    runs,
    training,
)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """All that training needs, resolved and loaded.

    Attributes:
        model: The classifier, of stock Keras layers, with its initial weights.
        train: The images trained on.
        evaluations: The images evaluated on: `test` and perhaps `validation`.
        recipe: How to train.
        data_seed: Decides the order of examples and their augmentation.
        record: What `config.json` holds.
        notes: Sentences that the user should read.
    """

    model: keras.Model
    train: training.Split
    evaluations: dict[str, training.Split]
    recipe: training.Recipe
    data_seed: int
    record: dict[str, Any]
    notes: list[str]


def run(
    config: runs.RunConfig,
    dataset: datasets.ImageDataset | None = None,
    *,
    epoch_lines: bool = True,
) -> dict[str, Any]:
    """Fine-tunes one model and writes its folder; a finished run is read instead.

    Args:
        config: What to run.
        dataset: The data set, if it is loaded already, whole.
        epoch_lines: Whether to print a line an epoch, besides the bar.

    Returns:
        The content of `result.json`.

    Raises:
        UsageError: If the configuration, the data, the weights or the results
            folder can't be used. Nothing has been written then.
    """
    config.check()
    if runs.is_finished(config.folder) and not config.overwrite:
        runs.check_same_request(config)
        return runs.read_json(config.folder / "result.json")
    files.check_writable(config.folder)
    started = time.perf_counter()
    prepared = prepare(config, dataset)
    if epoch_lines:
        for note in prepared.notes:
            print(f"note: {note}")
    try:
        return _train_and_write(config, prepared, started, epoch_lines)
    except OSError as error:
        raise errors.UsageError(
            f"can't write to {config.folder}: {errors.one_line(error)}. What is "
            "complete there is kept; make room and run the same command again"
        ) from error


def prepare(
    config: runs.RunConfig, dataset: datasets.ImageDataset | None = None
) -> Prepared:
    """Resolves every value, loads the data and builds the model.

    Args:
        config: What to run.
        dataset: The data set, if it is loaded already, whole.

    Returns:
        What `training.fit` needs and what `config.json` holds.

    Raises:
        UsageError: If something can't be used.
    """
    config.check()
    data_seed, model_seed = config.seeds()
    source = config.source()
    recipe = training.Recipe(config.epochs, config.batch_size, config.learning_rate)
    if dataset is None:
        dataset = datasets.load(config.dataset, config.data_dir, config.image_size)
    dataset = dataset.take(config.train_examples, config.test_examples)
    fingerprint = dataset.fingerprint()
    evaluations = {"test": training.Split(dataset.test_images, dataset.test_labels)}
    if config.validation_examples:
        dataset, images, labels = datasets.split_validation(
            dataset, config.validation_examples, data_seed
        )
        evaluations["validation"] = training.Split(images, labels)
    statistics = normalization.resolve_statistics(
        config.normalization, dataset.train_images, source.pretraining.statistics
    )
    precision = environment.resolve_precision(config.precision)
    keras.utils.clear_session()
    model, notes = classifier.build_classifier(
        source,
        statistics,
        image_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        seed=model_seed,
        precision=precision,
    )
    record = {
        "format": runs.FORMAT,
        "requested": runs.requested(config),
        "resolved": {
            "weights": source.label,
            "weights_sha256": source.path and files.sha256(source.path),
            "pretraining": dataclasses.asdict(source.pretraining),
            "statistics": statistics and dataclasses.asdict(statistics),
            "precision": precision,
            "data_seed": data_seed,
            "model_seed": model_seed,
            "train_examples": len(dataset.train_images),
            "test_examples": len(dataset.test_images),
            "validation_examples": config.validation_examples,
            "image_shape": list(dataset.image_shape),
            "class_names": list(dataset.class_names),
            "parameters": model.count_params(),
        },
        "data_fingerprint": fingerprint,
        "environment": environment.describe(),
    }
    train = training.Split(dataset.train_images, dataset.train_labels)
    return Prepared(model, train, evaluations, recipe, data_seed, record, notes)


def _train_and_write(
    config: runs.RunConfig, prepared: Prepared, started: float, epoch_lines: bool
) -> dict[str, Any]:
    """Trains the model and writes the run's folder; returns the result."""
    folder = config.folder
    runs.start_afresh(folder)
    model = pytorch_semantics.with_pytorch_batch_norm(prepared.model)
    bar = progress.Progress(
        f"{config.model}-{config.normalization} seed {config.seed}",
        len(prepared.train),
        config.batch_size,
        config.epochs,
    )
    rows: list[dict[str, float]] = []
    keeper = _WeightsKeeper(config.keep, model)
    with tf.summary.create_file_writer(str(folder / "tensorboard")).as_default():

        def on_row(row: dict[str, float]) -> None:
            rows.append(row)
            runs.write_history(folder, rows)
            _write_scalars(row)
            keeper.consider(row)
            if epoch_lines:
                bar.show(row)

        record = dict(prepared.record)
        files.write_json(folder / "config.json", record)
        training.fit(
            model,
            prepared.recipe,
            prepared.train,
            prepared.evaluations,
            data_seed=prepared.data_seed,
            on_row=on_row,
            callbacks=[bar],
        )
    record["resolved"] |= {"jit_compile": bool(model.jit_compile)}
    files.write_json(folder / "config.json", record)
    prepared.model.set_weights(keeper.weights())
    with files.atomic_path(folder / "model.keras") as path:
        prepared.model.save(path)
    result = {
        "format": runs.FORMAT,
        **runs.summarise(rows),
        "kept_epoch": keeper.epoch,
        "train_seconds": round(sum(row["seconds"] for row in rows), 3),
        "total_seconds": round(time.perf_counter() - started, 3),
        "peak_memory_mib": _rounded(peak_memory.mebibytes()),
    }
    files.write_json(folder / "result.json", result)
    return result


class _WeightsKeeper:
    """Remembers the weights of the epoch that `--keep` asks for."""

    def __init__(self, keep: str, model: keras.Model) -> None:
        self._column = None if keep == "final" else f"{keep[len('best_') :]}_accuracy"
        self._model = model
        self._best = -1.0
        self._weights: list[np.ndarray] | None = None
        self.epoch = 0

    def consider(self, row: dict[str, float]) -> None:
        """Looks at the epoch that has just ended."""
        if self._column is None:
            self.epoch = row["epoch"]
        elif row[self._column] > self._best:
            self.epoch, self._best = row["epoch"], row[self._column]
            self._weights = self._model.get_weights()

    def weights(self) -> list[np.ndarray]:
        """Returns the weights that were asked for."""
        return self._weights or self._model.get_weights()


def _write_scalars(row: dict[str, float]) -> None:
    """Writes an epoch's row for TensorBoard, as `train/loss` and so on."""
    for name, value in row.items():
        prefix, _, rest = name.partition("_")
        is_metric = rest in ("loss", "accuracy")
        tag = f"{prefix}/{rest}" if is_metric else name
        if name != "epoch":
            tf.summary.scalar(tag, value, step=row["epoch"])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def dry_run(config: runs.RunConfig) -> str:
    """Returns what a run would be: the resolved values and the model's summary.

    Args:
        config: What would be run.

    Returns:
        A text for people.

    Raises:
        UsageError: If the run could not be made.
    """
    prepared = prepare(config)
    lines = [json.dumps(prepared.record, indent=2), *prepared.notes]
    prepared.model.summary(
        print_fn=lambda text, **_: lines.append(text), expand_nested=True
    )
    lines.append(f"would be written to {config.folder}{os.sep}")
    return "\n".join(lines)
