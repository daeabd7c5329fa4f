"""One run, end to end: from a configuration to a folder of results."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time

import keras

from normtest_tf import datasets, errors
from normtest_tf.normalization import ChannelStatistics, folding
from normtest_tf.runs import metadata, record
from normtest_tf.runs.config import RunConfig
from normtest_tf.runs.record import (
    ConfigRecord,
    FailureRecord,
    ResolvedValues,
    ResultRecord,
)
from normtest_tf.runs.recorder import Recorder, remove_of_finished
from normtest_tf.system import files, keras_setup
from normtest_tf.text import Notify, counted, ignore
from normtest_tf.training import (
    EpochRow,
    choices,
    classifier,
    environment,
    loop,
    pipeline,
    training_copy,
)
from normtest_tf.training.loop import Progress
from normtest_tf.training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Prepared:
    """All that training needs, resolved and loaded."""

    model: keras.Model  # Of stock Keras layers, with its initial weights.
    recipe: Recipe
    data: pipeline.TrainingData
    record: ConfigRecord  # What `config.json` will hold.
    devices: tuple[str, ...]  # That share each batch.

    def trains_on_features(self, config: RunConfig) -> bool:
        """Tells whether the head is trained apart from its frozen backbone."""
        is_frozen = config.train == choices.HEAD and not config.recalibrate
        return is_frozen and len(self.devices) == 1


@keras_setup.checked()
def run(
    config: RunConfig,
    dataset: datasets.ImageDataset | None = None,
    *,
    notify: Notify = ignore,
    show_epoch: Notify = ignore,
) -> ResultRecord:
    """Fine-tunes one model and writes its folder; a finished run is read instead.

    An interrupted run resumes from its last checkpoint.

    Args:
        config: What to run.
        dataset: The data set, whole and already resized and shifted, if it has been
            loaded.
        notify: Called with messages for the user: that the run is resumed, that a
            checkpoint is corrupt, what was left out of a weights file, which
            augmentation large images get.
        show_epoch: Called with a line on the device, and one after each epoch.

    Returns:
        The content of `result.json`.

    Raises:
        UsageError: If the configuration, the data, the weights or the results
            folder can't be used. Nothing has been written then.
        Locked: If another process is writing to the folder.
        TrainingFailed: If a loss was not finite; `failed.json` says where.

    Example:
        ```python
        config = RunConfig(dataset="digits", model="cifar_resnet8", epochs=8)
        print(run(config, notify=print).final_test_accuracy)
        ```
    """
    started = time.perf_counter()
    folder = config.folder
    record.check_request(config)
    if config.is_done:
        dataset = _images(config, dataset, notify)
        if (result := record.finished_result(config, dataset)) is not None:
            remove_of_finished(folder)
            return result
    environment.check_backend(notify)
    with files.only_writer(folder.path):
        dataset = _images(config, dataset, notify)
        # Another process may have started or finished it since.
        if (result := record.finished_result(config, dataset)) is not None:
            return result
        prepared = _prepare(config, dataset, notify, reuse=True)
        precision, devices = prepared.record.resolved.precision, len(prepared.devices)
        show_epoch(environment.device_line(precision, devices))
        try:
            return _train(config, prepared, started, notify, show_epoch)
        except BrokenPipeError:  # Nobody reads the output any more.
            raise
        except OSError as error:
            raise errors.UsageError(
                f"can't write to {folder}: {errors.one_line(error)}. What is complete "
                "there is kept; make room and run the same command again"
            ) from error


def _train(
    config: RunConfig,
    prepared: Prepared,
    started: float,
    notify: Notify,
    show_epoch: Notify,
) -> ResultRecord:
    """Trains the epochs that are missing and writes the run's folder."""
    recipe, data = prepared.recipe, prepared.data
    model = environment.spread(
        prepared.devices,
        lambda: classifier.shared(
            prepared.model, config.train, deterministic=config.deterministic
        ),
    )
    recorder = Recorder(config, prepared.record, model, notify, started)
    title = f"{config.name.model}-{config.normalization} seed {config.seed}"
    done = len(recorder.state.rows)
    bar = Progress(title, recipe, len(data.train), first_epoch=done)
    callbacks = [bar]
    if config.recalibrate:
        callbacks.append(
            training_copy.Recalibrator(
                prepared.model,
                classifier.accumulator(prepared.model),
                pipeline.evaluation_batches(data.train, recipe.batch_size),
                config.train,
                recipe.epochs,
            )
        )

    def on_row(row: EpochRow) -> None:
        recorder.add(row)
        bar.show(row, show_epoch)

    try:
        with contextlib.closing(bar):
            loop.fit(
                model,
                recipe,
                data,
                on_row,
                callbacks=callbacks,
                state=recorder.state.training,
                on_evaluation=recorder.see,
                on_features=prepared.trains_on_features(config),
            )
    except errors.TrainingFailed as failure:
        FailureRecord(str(failure), failure.details).write(config.folder)
        raise
    prepared.model.set_weights(recorder.kept_weights())
    labels = data.evaluations["test"].labels
    return recorder.finish(prepared.model, labels, jit_compile=bool(model.jit_compile))


@keras_setup.checked()
def prepare(
    config: RunConfig,
    dataset: datasets.ImageDataset | None = None,
    notify: Notify = ignore,
) -> Prepared:
    """Loads the data, unless the whole data set is given, and builds the model."""
    environment.check_backend(notify)
    return _prepare(config, _images(config, dataset, notify), notify)


def _images(
    config: RunConfig, dataset: datasets.ImageDataset | None, notify: Notify
) -> datasets.ImageDataset:
    """Returns the images of a run, including those that it will hold out."""
    if dataset is None:
        dataset = datasets.load(config.dataset, config.reading, notify)
    return config.subset_of(dataset)


def _prepare(
    config: RunConfig,
    dataset: datasets.ImageDataset,
    notify: Notify,
    *,
    reuse: bool = False,
) -> Prepared:
    """Builds the model and everything else that training needs."""
    resolved = config.resolved
    network, seeds = resolved.network, resolved.seeds
    devices = environment.find_devices(config.strategy, config.batch_size, notify)
    environment.set_determinism(config.deterministic)
    fingerprint = dataset.fingerprint()  # Of all images, also those held out.
    if dataset.division:
        notify(f"{dataset.name} has no test split: {dataset.division}")
    dataset, data = _hold_out(config, dataset, notify)
    if (images := len(dataset.train_images)) <= config.batch_size:
        notify(
            f"--batch_size={config.batch_size} takes all {images} training images in "
            f"one step, so there are {counted(config.epochs, 'step')} in all; smaller "
            "batches learn more"
        )
    statistics = resolved.setting.statistics(
        dataset.train_images, resolved.network.pretraining.statistics, notify
    )
    precision = environment.resolve_precision(config.precision)
    model = _build(config, dataset, statistics, precision, notify, reuse=reuse)
    padding = choices.padding(data.augmentation, dataset.image_shape[0])
    values = ResolvedValues(
        weights=network.label,
        weights_sha256=network.sha256(),
        pretraining=dataclasses.asdict(network.pretraining),
        statistics=statistics,
        precision=precision,
        augmentation=data.augmentation,
        padding=padding,
        padding_color=choices.padding_color(padding, data.black),
        data_seed=seeds.data,
        model_seed=seeds.model,
        train_examples=len(dataset.train_images),
        test_examples=len(dataset.test_images),
        validation_examples=config.validation_examples,
        image_shape=dataset.image_shape,
        class_names=dataset.class_names,
        parameters=model.count_params(),
        division=dataset.division,
    )
    surroundings = environment.describe(len(devices))
    config_record = ConfigRecord(resolved.requested, values, fingerprint, surroundings)
    options = [field.name for field in dataclasses.fields(Recipe)]
    recipe = Recipe(**{name: getattr(config, name) for name in options})
    return Prepared(model, recipe, data, config_record, devices)


def _hold_out(
    config: RunConfig, dataset: datasets.ImageDataset, notify: Notify
) -> tuple[datasets.ImageDataset, pipeline.TrainingData]:
    """Holds out validation images; returns the rest, and what to train and test on."""
    seed, size = config.resolved.seeds.data, dataset.image_shape[0]
    evaluations = {"test": pipeline.Split(dataset.test_images, dataset.test_labels)}
    if config.validation_examples:
        dataset, images, labels = datasets.split_validation(
            dataset, config.validation_examples, seed
        )
        evaluations["validation"] = pipeline.Split(images, labels)
    train = pipeline.Split(dataset.train_images, dataset.train_labels)
    augmentation = choices.resolve_augmentation(config.augmentation, size, notify)
    return dataset, pipeline.TrainingData(
        train, evaluations, seed, augmentation, config.black
    )


def _build(
    config: RunConfig,
    dataset: datasets.ImageDataset,
    statistics: ChannelStatistics | None,
    precision: str,
    notify: Notify,
    *,
    reuse: bool,
) -> keras.Model:
    """Returns the classifier, if it can be trained as the configuration asks."""
    resolved, shape = config.resolved, dataset.image_shape
    network = resolved.network
    model = classifier.build_classifier(
        network,
        resolved.setting.layer(statistics, shape, network.pretraining.channel_order),
        classifier.Task(shape, dataset.num_classes),
        seed=resolved.seeds.model,
        precision=precision,
        notify=notify,
        reuse=reuse,
    )
    if resolved.setting.folds and statistics is not None:
        wanted = network.pretraining
        folding.fold(
            model.layers[-2], statistics, wanted.statistics, wanted.channel_order
        )
    if note := metadata.statistics_note(network, statistics):
        notify(note)
    training_copy.check_regime(model, config.train, recalibrated=config.recalibrate)
    if config.train == choices.ALL or config.recalibrate:
        training_copy.check_batches(model, len(dataset.train_images), config.batch_size)
    return model


def dry_run(config: RunConfig) -> str:
    """Describes a run without training: resolved values and the model's summary."""
    notes: list[str] = []
    prepared = prepare(config, notify=notes.append)
    lines = [json.dumps(prepared.record.to_json(), indent=2)]
    lines += [f"note: {note}" for note in dict.fromkeys(notes)]
    prepared.model.summary(
        print_fn=lambda text, **_: lines.append(text), expand_nested=True
    )
    lines.append(f"would be written to {config.folder}{os.sep}")
    return "\n".join(lines)
