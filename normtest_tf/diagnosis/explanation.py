"""The diagnosis: what a choice of statistics will do to a model and images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from normtest_tf.diagnosis import inputs, linear_probe
from normtest_tf.diagnosis.advice import advise
from normtest_tf.diagnosis.distances import (
    BATCH,
    REESTIMATED,
    STORED,
    Moments,
    distance,
)
from normtest_tf.diagnosis.findings import Explanation, SettingFindings
from normtest_tf.diagnosis.parts import decomposition, displacement
from normtest_tf.normalization import (
    CONTROL,
    IMAGENET,
    TREATMENT,
    ChannelStatistics,
    Setting,
)
from normtest_tf.normalization.statistics import PIXEL_MAX, Images, pixel_distance
from normtest_tf.system import keras_setup

if TYPE_CHECKING:
    import keras

    from normtest_tf.diagnosis.probes import Probe


class _Shown(NamedTuple):
    """What the network showed under one setting, by mode."""

    features: dict[str, np.ndarray]
    correct: dict[str, np.ndarray]  # From `linear_probe.probe`.


@keras_setup.checked()
def explain(
    model: keras.Model,
    images: Any,  # noqa: ANN401  (an array, or a data set)
    *,
    labels: np.ndarray | None = None,
    settings: Sequence[str | Setting] = (),
    pretraining: ChannelStatistics = IMAGENET,
    training_images: Images | None = None,
    channel_order: str = "rgb",
    examples: int = inputs.EXAMPLES,
    trained: bool = True,
    whole: bool = False,
    model_name: str | None = None,
    data_name: str = "the images",
) -> Explanation:
    """Says before training which input statistics to take, and why.

    Args:
        model: A functional or sequential Keras model that takes normalised images,
            float `[n, height, width, 3]`; a classifier at its end is left out. It is
            not changed.
        images: uint8 `[n, height, width, 3]`, or a `tf.data.Dataset` of images or of
            (image, label), batched or not.
        labels: int `[n]`, for an array; needed for the linear probe.
        settings: Names of `normalization.SETTINGS` to look at, beside `pretrain` and
            `finetune`; or a `Setting`, such as `normalization.given(statistics)`.
        pretraining: The statistics that the weights were pre-trained with.
        training_images: uint8 `[m, height, width, 3]`, which the fine-tuning set's
            statistics are computed from. Default: the images used.
        channel_order: What the model takes: `rgb` or `bgr`.
        examples: How many images to use at most.
        trained: Whether the weights are pre-trained. There is no advice on random ones.
        whole: Whether the model is a backbone to its end: no dense layer is left out.
        model_name: For the text. Default: the model's own name.
        data_name: For the text.

    Returns:
        What was found; `to_text()`, `to_json()` and `to_markdown()` show it.

    Raises:
        UsageError: If the model or the images can't be diagnosed.
    """
    from keras import ops

    from normtest_tf.backbones import trunk
    from normtest_tf.diagnosis.probes import Probe

    chosen = inputs.settings_of(settings)
    probe = Probe(model, whole=whole)
    images, labels = inputs.collect(images, labels, examples)
    if training_images is None:
        training_images = images
    shape = (images.shape[1], images.shape[2], 3)
    preprocessing = trunk.preprocessing(model)
    notes = inputs.notes_on(probe.names, images, labels, preprocessing)
    found: dict[str, SettingFindings] = {}
    shown: dict[str, _Shown] = {}
    for setting in chosen:
        name = setting.name
        constants = setting.statistics(training_images, pretraining, notes.append)
        layer = setting.layer(constants, shape, channel_order)
        blocks = [ops.convert_to_numpy(layer(some)) for some in inputs.batches(images)]
        found[name], shown[name] = _look(
            probe, name, constants, blocks, labels, control=shown.get(CONTROL)
        )
    treatment, control = found[TREATMENT], found[CONTROL]
    own = treatment.statistics
    assert own is not None  # The images' own constants.
    if min(pretraining.std) > 1.01 / PIXEL_MAX:  # Else inputs are pixels: wide.
        notes += inputs.notes_on_control(control.input_mean, control.input_std)
    start, end = shown[CONTROL].features, shown[TREATMENT].features
    parts = decomposition(
        probe,
        images,
        own,
        pretraining,
        channel_order=channel_order,
        ends={mode: (start[mode], end[mode]) for mode in probe.modes},
    )
    if not probe.has_border:
        notes.append(
            "the network does not start with one plain convolution, so the border's "
            "part can't be told from the shift's"
        )
    return Explanation(
        model=model_name or model.name,
        data=data_name,
        images=len(images),
        image_shape=shape,
        layers=probe.names,
        settings=tuple(found.values()),
        parts=parts,
        pixel_distance=pixel_distance(own, pretraining),
        advice=advise(treatment.differences) if trained else (),
        notes=tuple(dict.fromkeys(notes)),
    )


def _look(
    probe: Probe,
    name: str,
    statistics: ChannelStatistics | None,
    blocks: Sequence[np.ndarray],
    labels: np.ndarray | None,
    control: _Shown | None,
) -> tuple[SettingFindings, _Shown]:
    """Passes batches of a setting's images through the network in every mode."""

    def apart(moments: Sequence[Moments]) -> tuple[float, ...]:
        return tuple(map(distance, moments, probe.stored(), probe.epsilons))

    seen = probe.see(blocks, STORED)
    features, before = {STORED: seen.features}, apart(seen.moments)
    after: tuple[float, ...] = ()
    if probe.names:
        of_batches = probe.see(blocks, BATCH)
        features[BATCH] = of_batches.features
        stored = probe.stored()
        probe.store(of_batches.moments)
        again = probe.see(blocks, STORED)
        features[REESTIMATED], after = again.features, apart(again.moments)
        probe.store(stored)
    correct = {}
    if labels is not None:
        correct = {
            mode: linear_probe.probe(values, labels)
            for mode, values in features.items()
            if mode != BATCH
        }
    shown = _Shown(features, correct)
    control = control or shown
    pixels = np.concatenate([block.reshape(-1, 3) for block in blocks])
    found = SettingFindings(
        name=name,
        statistics=statistics,
        input_mean=tuple(pixels.mean(axis=0, dtype=np.float64).tolist()),
        input_std=tuple(pixels.std(axis=0, dtype=np.float64).tolist()),
        distances=before,
        reestimated=after,
        displacements={
            mode: displacement(values, control.features[mode])
            for mode, values in features.items()
        },
        accuracies={mode: 100 * float(np.mean(own)) for mode, own in correct.items()},
        differences={
            mode: linear_probe.compare(own, control.correct[mode])
            for mode, own in correct.items()
        },
    )
    return found, shown
