"""The diagnosis: what a choice of statistics will do to a model and images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from normtest_tf import errors
from normtest_tf.backbones import trunk
from normtest_tf.datasets import MappedImages
from normtest_tf.diagnosis import distances, inputs, linear_probe, rule
from normtest_tf.diagnosis.distances import BATCH, STORED, Distance
from normtest_tf.diagnosis.findings import Explanation, SettingFindings
from normtest_tf.diagnosis.parts import Parts, decomposition, displacement
from normtest_tf.diagnosis.probes import Probe
from normtest_tf.normalization import CONTROL, IMAGENET, ChannelStatistics
from normtest_tf.normalization import get as get_setting
from normtest_tf.normalization.statistics import Images
from normtest_tf.system import keras_setup
from normtest_tf.text import Notify, ignore

TREATMENT = "finetune"
REESTIMATED = "reestimated"
EPSILON = 1e-12  # Against division by 0.
BATCH_SIZE = 256  # The recipe's.


@dataclasses.dataclass(frozen=True)
class _Passes:
    """The features under one setting, by mode, and what batch normalization saw."""

    inputs: tuple[np.ndarray, np.ndarray]  # Mean and std of the normalised images.
    features: dict[str, np.ndarray]
    distances: tuple[Distance, ...]
    reestimated: tuple[Distance, ...]


@keras_setup.checked()
def explain(
    model: keras.Model,
    images: Any,  # noqa: ANN401  (an array, or a data set)
    *,
    labels: np.ndarray | None = None,
    settings: str | Sequence[str] | None = None,
    pretraining: ChannelStatistics = IMAGENET,
    training_images: Images | None = None,
    channel_order: str = "rgb",
    examples: int = inputs.EXAMPLES,
    batch_size: int = BATCH_SIZE,
    model_name: str | None = None,
    data_name: str = "the images",
    notify: Notify = ignore,
) -> Explanation:
    """Says before training what a choice of input statistics will do.

    Args:
        model: A functional or sequential Keras model that takes normalised images,
            float `[n, height, width, 3]`; a classifier at its end is left out. It is
            not changed.
        images: uint8 `[n, height, width, 3]`, or a `tf.data.Dataset` of images or of
            (image, label), batched or not.
        labels: int `[n]`, for an array; needed for the linear probe.
        settings: Names of `normalization.SETTINGS` to look at, or one name. Default:
            all but `finetune_folded` and `pretrain_again`. The control is always among
            them.
        pretraining: The statistics that the weights were pre-trained with.
        training_images: uint8 `[m, height, width, 3]`, which the fine-tuning set's
            statistics are computed from; other dtypes as for `images`. Default: the
            images used.
        channel_order: What the model takes: `rgb` or `bgr`.
        examples: How many images to use at most.
        batch_size: Images in a batch, whose statistics stand for training's; fewer
            where they are large.
        model_name: For the text. Default: the model's own name.
        data_name: For the text.
        notify: Called with a line before each longer step.

    Returns:
        What was found; `to_text()`, `to_json()` and `to_markdown()` show it.

    Raises:
        UsageError: If the model or the images can't be diagnosed.

    Example:
    ```python
    from normtest_tf import diagnosis

    found = diagnosis.explain(backbone, images, labels=labels)
    print(found.to_text())
    ```
    """
    inputs.check_statistics(pretraining)
    names = inputs.names_of(settings)
    probe = Probe(model)
    images, labels = inputs.collect(images, labels, examples)
    measured = _measured(images, training_images)
    notes = inputs.notes_on(probe.names, images, labels)
    notes += inputs.notes_on_preprocessing(trunk.preprocessing(model))
    constants = {
        name: get_setting(name).statistics(measured, pretraining, notes.append)
        for name in names
    }
    size = inputs.batch_size_for(images.shape[1:], batch_size)
    runs: dict[str, _Passes] = {}
    for name, statistics in constants.items():
        notify(f"looking at {name}")
        blocks = _batches(name, statistics, images, size, channel_order)
        runs[name] = _passes(probe, blocks)
        if name == CONTROL:
            notes += inputs.notes_on_control(*runs[name].inputs)
    probed = _linear_probes(runs, labels, notes)
    findings = {name: _findings(name, constants[name], runs, probed) for name in names}
    # The control comes first.
    treatment = TREATMENT if TREATMENT in names else next(iter(names[1:]), None)
    parts: dict[str, Parts] = {}
    predictions: tuple[rule.Prediction, ...] = ()
    if treatment is not None:
        notify(f"splitting the difference between {treatment} and {CONTROL}")
        parts = _parts(probe, images, treatment, constants, runs, channel_order, size)
        if not parts:
            notes.append(
                f"{treatment} has no constants, so its difference can't be split"
            )
        elif not probe.has_border:
            notes.append(
                "the network does not start with one plain convolution, so the "
                "border's part can't be told from the shift's"
            )
        predictions = rule.predict(
            _evidence(findings[treatment], findings[CONTROL], len(images))
        )
    return Explanation(
        model=model_name or model.name,
        data=data_name,
        images=len(images),
        image_shape=(images.shape[1], images.shape[2], 3),
        layers=probe.names,
        control=CONTROL,
        treatment=treatment,
        settings=tuple(findings.values()),
        parts=parts,
        predictions=predictions,
        notes=tuple(dict.fromkeys(notes)),
    )


def _measured(images: np.ndarray, training_images: Images | None) -> Images:
    """Returns what the fine-tuning set's statistics are computed from."""
    if training_images is None:
        return images
    if isinstance(training_images, MappedImages):
        return training_images
    return inputs.pixels(training_images, "training_images")


def _batches(
    name: str,
    constants: ChannelStatistics | None,
    images: np.ndarray,
    size: int,
    channel_order: str,
) -> list[np.ndarray]:
    """Normalises the images as a setting does, batch by batch."""
    height, width, _ = images.shape[1:]
    layer = get_setting(name).layer(constants, (height, width, 3), channel_order)
    return [
        ops.convert_to_numpy(layer(images[start : start + size]))
        for start in range(0, len(images), size)
    ]


def _moments(blocks: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of each channel over all batches."""
    pixels = np.concatenate([block.reshape(-1, 3) for block in blocks])
    return pixels.mean(axis=0, dtype=np.float64), pixels.std(axis=0, dtype=np.float64)


def _passes(probe: Probe, blocks: Sequence[np.ndarray]) -> _Passes:
    """Passes the images of a setting through the network in every mode."""
    epsilons, stored = probe.epsilons(), probe.stored()
    seen = probe.see(blocks, STORED)
    channels, features = _moments(blocks), {STORED: seen.features}
    before = distances.distances(seen.moments, stored, epsilons)
    if not stored:
        return _Passes(channels, features, (), ())
    of_batches = probe.see(blocks, BATCH)
    features[BATCH] = of_batches.features
    probe.store(of_batches.moments)
    try:
        again = probe.see(blocks, STORED)
        reestimated = distances.distances(again.moments, probe.stored(), epsilons)
    finally:
        probe.store(stored)
    features[REESTIMATED] = again.features
    return _Passes(channels, features, before, reestimated)


def _parts(
    probe: Probe,
    images: np.ndarray,
    treatment: str,
    constants: dict[str, ChannelStatistics | None],
    runs: dict[str, _Passes],
    channel_order: str,
    batch_size: int,
) -> dict[str, Parts]:
    """Splits the difference between a setting and the control, if it can be split."""
    one, other = constants[treatment], constants[CONTROL]
    if one is None or other is None:
        return {}
    start, end = runs[CONTROL].features, runs[treatment].features
    return decomposition(
        probe,
        images,
        one,
        other,
        channel_order=channel_order,
        batch_size=batch_size,
        ends={mode: (start[mode], end[mode]) for mode in probe.modes},
    )


def _linear_probes(
    runs: dict[str, _Passes], labels: np.ndarray | None, notes: list[str]
) -> dict[str, dict[str, linear_probe.Probed]]:
    """Fits a linear classifier to the features of every setting, by mode."""
    if labels is None:
        return {name: {} for name in runs}
    try:
        return {
            name: {
                mode: linear_probe.probe(features, labels)
                for mode, features in passes.features.items()
                if mode != BATCH
            }
            for name, passes in runs.items()
        }
    except errors.UsageError as error:
        notes.append(f"no linear probe: {error}")
        return {name: {} for name in runs}


def _findings(
    name: str,
    constants: ChannelStatistics | None,
    runs: dict[str, _Passes],
    probed: dict[str, dict[str, linear_probe.Probed]],
) -> SettingFindings:
    """Gathers what is known of one setting."""
    own, control = runs[name], runs[CONTROL]
    mean, std = own.inputs
    return SettingFindings(
        name=name,
        statistics=constants,
        input_mean=tuple(mean.tolist()),
        input_std=tuple(std.tolist()),
        distances=own.distances,
        reestimated=own.reestimated,
        displacements={
            mode: displacement(features, control.features[mode])
            for mode, features in own.features.items()
        },
        accuracies={mode: found.accuracy for mode, found in probed[name].items()},
        differences={
            mode: linear_probe.compare(found, probed[CONTROL][mode])
            for mode, found in probed[name].items()
        },
    )


def _evidence(
    one: SettingFindings, other: SettingFindings, images: int
) -> rule.Evidence:
    """Returns what the recommendation rests on."""
    approach = None
    if one.distances:
        ours, theirs = one.distances[0].total, other.distances[0].total
        approach = (theirs - ours) / max(ours, theirs, EPSILON)
    return rule.Evidence(
        one=one.name,
        other=other.name,
        batch=one.displacements.get(BATCH),
        stored=one.displacements[STORED],
        reestimated=one.displacements.get(REESTIMATED),
        approach=approach,
        probe=one.differences.get(STORED),
        probe_reestimated=one.differences.get(REESTIMATED),
        images=images,
    )
