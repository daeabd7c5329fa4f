"""One run, end to end: from a configuration to a folder of results."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import time
from typing import Any

import keras

from normtest_tf import datasets, errors, normalization, runs, training
from normtest_tf.runs import checkpoints
from normtest_tf.runs import recorder as recording
from normtest_tf.system import files, locks, signals
from normtest_tf.training import classifier, environment, progress, pytorch_semantics


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
    wait: bool = False,
    epoch_lines: bool = True,
) -> dict[str, Any]:
    """Fine-tunes one model and writes its folder; a finished run is read instead.

    An interrupted run goes on from its last checkpoint.

    Args:
        config: What to run.
        dataset: The data set, if it is loaded already, whole.
        wait: Whether to wait for a process that is writing to the folder.
        epoch_lines: Whether to print notes and a line an epoch, besides the bar.

    Returns:
        The content of `result.json`.

    Raises:
        UsageError: If the configuration, the data, the weights or the results
            folder can't be used. Nothing has been written then.
        Locked: If another process is writing to the folder, unless `wait`.
        TrainingFailed: If a loss was not finite; `failed.json` tells where.
        Interrupted: If SIGTERM or Ctrl-C asked to stop. The completed epochs are
            kept.
    """
    started = time.perf_counter()
    config.check()
    if (result := _finished(config)) is not None:
        _remove_leftover_checkpoints(config.folder)
        return result
    files.check_writable(config.folder)
    with locks.only_writer(config.folder, wait=wait):
        # Another process may have finished it since.
        result = _finished(config)
        return result or _run(config, dataset, started, epoch_lines)


def _remove_leftover_checkpoints(folder: pathlib.Path) -> None:
    """Removes the checkpoints of a run that was killed when it had just finished."""
    store = checkpoints.Store(folder)
    if store.exists():
        with contextlib.suppress(errors.Locked), locks.only_writer(folder):
            if runs.is_finished(folder):
                store.remove()


def _finished(config: runs.RunConfig) -> dict[str, Any] | None:
    """Returns the result of a finished run, None if there is something to do."""
    if config.overwrite or not runs.is_finished(config.folder):
        return None
    runs.check_same_request(config)
    path = config.folder / "result.json"
    result = runs.read_json(path)
    runs.check_format(result, path)
    return result


def _run(
    config: runs.RunConfig,
    dataset: datasets.ImageDataset | None,
    started: float,
    epoch_lines: bool,
) -> dict[str, Any]:
    """Runs what is not finished, as the folder's only writer."""
    if not config.overwrite and (config.folder / "config.json").exists():
        runs.check_same_request(config)
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


def _train_and_write(
    config: runs.RunConfig, prepared: Prepared, started: float, epoch_lines: bool
) -> dict[str, Any]:
    """Trains the epochs that are missing and writes the run's folder."""
    model = pytorch_semantics.with_pytorch_batch_norm(prepared.model)
    recorder = recording.Recorder(config, prepared.record, model, started)
    for note in recorder.notes:
        print(f"note: {note}")
    with signals.StopRequest() as stop:
        try:
            _train(config, prepared, model, recorder, stop, epoch_lines)
        except (errors.TrainingFailed, errors.Interrupted) as reason:
            recorder.give_up(reason)
            raise
        prepared.model.set_weights(recorder.kept_weights())
        result = recorder.finish(prepared.model, jit_compile=bool(model.jit_compile))
    if stop.received:
        # Otherwise a program with more to do would go on with that.
        raise errors.Interrupted(f"{config.folder} is finished", stop.received)
    return result


def _train(
    config: runs.RunConfig,
    prepared: Prepared,
    model: keras.Model,
    recorder: recording.Recorder,
    stop: signals.StopRequest,
    epoch_lines: bool,
) -> None:
    """Trains the epochs that are missing."""
    bar = progress.Progress(
        f"{config.model}-{config.normalization} seed {config.seed}",
        len(prepared.train),
        config.batch_size,
        config.epochs,
        first_epoch=len(recorder.rows),
    )

    def on_row(row: dict[str, float]) -> None:
        recorder.add(row)
        if epoch_lines:
            bar.show(row)

    with contextlib.closing(bar):
        training.fit(
            model,
            prepared.recipe,
            prepared.train,
            prepared.evaluations,
            data_seed=prepared.data_seed,
            on_row=on_row,
            callbacks=[bar, _StopBetweenSteps(stop, recorder)],
            state=recorder.state,
        )


class _StopBetweenSteps(keras.callbacks.Callback):
    """Ends training after a step if that was asked for."""

    def __init__(self, stop: signals.StopRequest, recorder: recording.Recorder) -> None:
        super().__init__()
        self._stop = stop
        self._recorder = recorder

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks whether a signal has come."""
        if self._stop.received:
            raise errors.Interrupted(self._recorder.outlook(), self._stop.received)


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
    environment.set_determinism(config.deterministic)
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
