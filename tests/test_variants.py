"""Regimes, shifts and recalibration end to end: records, names, models, resumptions."""

import dataclasses
import itertools
import json
import zipfile

import keras
import numpy as np
import PIL.Image
import pytest

from normtest_tf import datasets, errors, normalization, runs
from normtest_tf.analysis import results
from normtest_tf.export import prediction
from normtest_tf.runs import finetuning, metadata, record
from normtest_tf.training import classifier, pipeline, training_copy
from tests.helpers import ROOT, faults
from tests.helpers.tiny_runs import EPOCHS, new_config, outcome


@pytest.mark.parametrize(
    "values",
    [
        {"train": "head", "recalibrate": True, "warmup_epochs": 2},
        {"train": "frozen_bn", "optimizer": "sgd"},
    ],
)
def test_a_variant_is_what_was_evaluated_and_resumes(values, config, digits, tmp_path):
    config = dataclasses.replace(config, keep="final", shift="invert", **values)
    whole = dataclasses.replace(config, results_dir=str(tmp_path / "whole"))
    inverted = digits.shifted("invert")
    result = finetuning.run(whole, inverted)
    model = keras.models.load_model(whole.folder.model)
    assert all(layer.trainable for layer in model.layers)
    logits = model.predict(inverted.test_images, verbose=0)
    accuracy = np.mean(logits.argmax(axis=1) == inverted.test_labels)
    assert result.final_test_accuracy == pytest.approx(accuracy)
    for fault in (faults.after_epoch(2), faults.after_epoch(EPOCHS)):
        with fault, pytest.raises(faults.Killed):
            finetuning.run(config, inverted)
    assert finetuning.run(config, inverted).resumed_epochs == (2, EPOCHS)
    assert outcome(config) == outcome(whole)


def batch_normalization(model):
    """Returns the weights of a model's only batch normalization."""
    kind = keras.layers.BatchNormalization
    (layer,) = (layer for layer in model.layers if isinstance(layer, kind))
    return layer.get_weights()


@pytest.mark.parametrize("train", ["head", "all"])
def test_statistics_are_estimated_on_the_training_images(train, config, digits):
    config = dataclasses.replace(
        config, keep="final", train=train, recalibrate=True, epochs=2
    )
    plain = dataclasses.replace(config, recalibrate=False)
    rows, found = [], []
    for each in (config, plain):
        finetuning.run(dataclasses.replace(each, overwrite=True), digits)
        rows.append(each.folder.read_history())
        model = keras.models.load_model(each.folder.model)
        found.append(batch_normalization(model))
        if train == "head" and each is config:  # Frozen, so it can be repeated.
            batches = np.split(digits.train_images, [32, 64])
            training_copy.Accumulator(model).recalibrate(model, batches)
            again = batch_normalization(model)
            np.testing.assert_allclose(found[0], again, rtol=1e-5)
    assert np.abs(found[0][2] - found[1][2]).max() > 1e-3
    if train == "all":  # The last row alone shows recalibrated statistics.
        for first, second, is_last in zip(*rows, (False, True), strict=True):
            assert first["train_loss"] == second["train_loss"]
            assert (first["test_loss"] != second["test_loss"]) == is_last


def test_networks_that_can_not_be_trained_so_are_refused(config, digits, monkeypatch):
    def plain(network, normalization, task, **_):
        inputs = keras.Input(task.image_shape, dtype="uint8")
        return keras.Model(inputs, keras.layers.Flatten()(inputs))

    def single_values(network, normalization, task, **_):
        inputs = keras.Input(task.image_shape, dtype="uint8")
        scaled = keras.layers.Rescaling(1 / 255)(inputs)
        pooled = keras.layers.GlobalAveragePooling2D()(scaled)
        normalised = keras.layers.BatchNormalization()(pooled)
        return keras.Model(inputs, keras.layers.Dense(task.num_classes)(normalised))

    few = datasets.load("digits").take(33, 20)  # A batch of 32 and one of 1.
    for build, images, values, words in [
        (plain, digits, {"train": "frozen_bn"}, "^--train=frozen_bn needs a network"),
        (plain, digits, {"recalibrate": True}, "^--recalibrate needs a network with"),
        (single_values, few, {}, "would be a single image"),
        (single_values, few, {"train": "head", "recalibrate": True}, "a single image"),
        (single_values, few, {"train": "head"}, None),
        (single_values, few, {"train": "frozen_bn"}, None),
    ]:
        monkeypatch.setattr(classifier, "build_classifier", build)
        each = dataclasses.replace(config, keep="final", **values)
        if words is None:
            finetuning.prepare(each, images)
        else:
            with pytest.raises(errors.UsageError, match=words):
                finetuning.run(each, images)
        assert not each.folder.is_started()


@pytest.mark.parametrize(
    ("values", "cell"),
    [
        ({}, "digits/cifar_resnet8"),
        ({"warmup_epochs": 1}, "digits/cifar_resnet8"),
        (
            {"shift": "cast:1.0,0.60,0.3", "train": "head"},
            "digits+cast_1_0.6_0.3/cifar_resnet8+head",
        ),
        (
            {"examples_per_class": 20, "shift": "gray", "optimizer": "sgd"},
            "digits+gray+20_per_class/cifar_resnet8+sgd",
        ),
        (
            {"train": "frozen_bn", "recalibrate": True},
            "digits/cifar_resnet8+frozen_bn+recalibrated",
        ),
    ],
)
def test_variants_have_their_own_names(values, cell, tmp_path):
    config = new_config(tmp_path, keep="final", **values)
    assert str(config.name) == f"{cell}-finetune/seed-223"
    assert runs.RunName.parse(config.folder.path) == config.name
    assert runs.RunName.of(config.resolved.requested) == config.name
    shift = str(datasets.parse_shift(config.shift))  # Equal ones are read once.
    assert config.resolved.requested["shift"] == config.reading.shift == shift


def test_every_committed_run_answers_the_request_that_made_it():
    """No flag that was added since changes what an old command means."""
    archive = ROOT / "plots" / "studies" / "cpu" / "runs.zip"
    found, folder = results.read(archive), zipfile.Path(archive)
    assert len(found.runs) == 80
    names = {field.name for field in dataclasses.fields(runs.RunConfig)}
    for run in found.runs:
        asked = json.loads((folder / str(run.name) / "config.json").read_text())
        asked = {k: v for k, v in asked["requested"].items() if k in names}
        asked["weights"] = None  # A file that is not here, if any.
        config = runs.RunConfig(**asked, results_dir=str(archive))
        assert config.name == run.name
        recorded = {**run.config.requested, "weights": None}
        assert record.differences(recorded, config.resolved.requested) == []


@pytest.mark.parametrize("augmentation", ["pad_crop_flip", "random_resized_crop_flip"])
def test_affine_shifts_leave_finetunes_inputs_as_they_are(augmentation, config, digits):
    """Those of training, with all pixels that the augmentation makes up."""

    def inputs_and_std(shift):
        changed = dataclasses.replace(config, shift=shift, augmentation=augmentation)
        prepared = finetuning.prepare(changed, digits.shifted(shift))
        statistics = prepared.record.resolved.statistics
        layer = normalization.normalization_layer(statistics, (32, 32, 3))
        batches = pipeline.training_batches(prepared.data, 32, range(2))
        inputs = np.concatenate([layer(images) for images, _ in batches])
        return inputs, np.array(statistics.std)

    plain, std = inputs_and_std("none")
    assert np.abs(plain).max() > 2
    for shift in ("contrast:0.2", "brightness:0.5", "cast:1,0.6,0.3", "invert"):
        shifted, other = inputs_and_std(shift)
        expected = -plain if shift == "invert" else plain
        # A pixel is rounded by 0.5, the mean by less, interpolations by 0.5 each.
        tolerance = (0.5 / std + 1.5 / other) / 255
        assert np.all(np.abs(shifted - expected) < tolerance), shift


def test_runs_that_padded_with_another_black_are_not_continued(config, digits):
    """As version 0.2.0 did under shifts."""
    config = dataclasses.replace(config, shift="contrast:0.2")
    record = finetuning.prepare(config, digits).record
    assert record.resolved.padding_color == (102, 102, 102)
    black = dataclasses.replace(record.resolved, padding_color=None)
    dataclasses.replace(record, resolved=black).write(config.folder)
    with pytest.raises(errors.UsageError, match=r"='black' there, .*102.* now"):
        finetuning.run(config, digits)
    for name in ("none", "brightness:0.5"):
        plain = dataclasses.replace(config, shift=name)
        assert finetuning.prepare(plain, digits).record.resolved.padding_color is None


def test_settings_share_a_subset_that_the_seed_draws(config, digits):
    config = dataclasses.replace(
        config, train_examples=40, test_examples=10, subset="seeded"
    )
    digests = set()
    for seed, name in itertools.product((1, 2), ("pretrain", "finetune")):
        one = dataclasses.replace(config, normalization=name, seed=seed)
        record = finetuning.prepare(one, digits).record
        digests.add((seed, record.data_fingerprint))
    assert len(digests) == len({digest for _, digest in digests}) == 2
    assert record.requested["subset"] == "seeded"


def test_what_was_shifted_is_shifted_again(config):
    """Files are classified as what the run was tested on."""
    config = dataclasses.replace(
        config, keep="final", shift="invert", examples_per_class=4, epochs=1
    )
    finetuning.run(config)
    assert runs.ConfigRecord.read(config.folder).resolved.train_examples == 40
    assert metadata.find(config.folder.path)["image"]["shift"] == "invert"
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    file = config.folder.path / "image.png"
    PIL.Image.fromarray(pixels).save(file)
    classifier = prediction.load(config.folder.path)
    np.testing.assert_array_equal(classifier.read(file)[0], 255 - pixels)
