"""Regimes, shifts and recalibration end to end: records, names, models, resumptions."""

import dataclasses
import json
import zipfile

import keras
import numpy as np
import PIL.Image
import pytest

from normtest_tf import datasets, errors, runs
from normtest_tf.analysis import results
from normtest_tf.export import metadata, prediction
from normtest_tf.runs import finetuning, identity
from normtest_tf.training import recalibration
from tests.helpers import ROOT, faults
from tests.helpers.fake_results import write_run
from tests.helpers.tiny_runs import EPOCHS, new_config, outcome

VARIANTS = [
    {"train": "head", "recalibrate": True},
    {"train": "frozen_bn", "optimizer": "sgd"},
    {"train": "all", "recalibrate": True, "warmup_epochs": 2},
]


def variant(config, **values):
    return dataclasses.replace(config, keep="final", **values)


@pytest.mark.parametrize("values", [VARIANTS[0], VARIANTS[2]])
def test_a_killed_variant_ends_as_an_uninterrupted_one(
    values, config, digits, tmp_path
):
    config = variant(config, **values)
    whole = dataclasses.replace(config, results_dir=str(tmp_path / "whole"))
    finetuning.run(whole, digits)
    for fault in (
        faults.after_step(1, 2),
        faults.after_epoch(2),
        faults.after_epoch(4),
    ):
        with fault, pytest.raises(faults.Killed):
            finetuning.run(config, digits)
    assert finetuning.run(config, digits).resumed_epochs == (2, EPOCHS)
    assert outcome(config) == outcome(whole)


@pytest.mark.parametrize("values", VARIANTS)
def test_the_saved_model_trains_whole_and_is_what_was_evaluated(values, config, digits):
    config = variant(config, shift="invert", **(values | {"epochs": 2}))
    inverted = datasets.shifted(digits, "invert")
    result = finetuning.run(config, inverted)
    model = keras.models.load_model(config.folder.model)
    assert all(layer.trainable for layer in model.layers)
    logits = model.predict(inverted.test_images, verbose=0)
    accuracy = np.mean(logits.argmax(axis=1) == inverted.test_labels)
    assert result.final_test_accuracy == pytest.approx(accuracy)


def batch_normalization(model):
    """Returns the weights of a model's only batch normalization."""
    (layer,) = (
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    return layer.get_weights()


@pytest.mark.parametrize("train", ["head", "frozen_bn"])
def test_statistics_are_estimated_on_the_training_images(train, config, digits):
    config = variant(config, train=train, recalibrate=True, epochs=1)
    finetuning.run(config, digits)
    model = keras.models.load_model(config.folder.model)
    found = batch_normalization(model)
    if train == "head":  # Frozen since then, so the estimate can be repeated.
        recalibration.recalibrate(model, np.split(digits.train_images, [32, 64]))
        np.testing.assert_allclose(found, batch_normalization(model), rtol=1e-5)
    plain = dataclasses.replace(config, recalibrate=False)
    finetuning.run(plain, digits)
    others = batch_normalization(keras.models.load_model(plain.folder.model))
    assert np.abs(found[2] - others[2]).max() > 1e-3


def test_the_last_row_alone_shows_recalibrated_statistics(config, digits):
    recalibrated = variant(config, recalibrate=True, epochs=2)
    plain = variant(config, epochs=2)
    rows = []
    for each in (recalibrated, plain):
        finetuning.run(each, digits)
        rows.append(results.history.read(each.folder.history))
    ours, theirs = rows
    for epoch in range(2):
        assert ours[epoch]["train_loss"] == theirs[epoch]["train_loss"]
        is_same = ours[epoch]["test_loss"] == theirs[epoch]["test_loss"]
        assert is_same == (epoch == 0)


def test_a_network_without_batch_normalization_is_refused(
    config, digits, monkeypatch, tmp_path
):
    from normtest_tf.training import classifier

    def plain(network, normalization, task, **_):
        inputs = keras.Input(task.image_shape, dtype="uint8")
        return keras.Model(inputs, keras.layers.Flatten()(inputs))

    monkeypatch.setattr(classifier, "build_classifier", plain)
    for values in ({"train": "frozen_bn"}, {"recalibrate": True}):
        bad = variant(config, **values)
        with pytest.raises(errors.UsageError, match="needs a network with batch norm"):
            finetuning.run(bad, digits)
        assert not bad.folder.is_started()


def test_single_images_are_refused_only_where_batch_normalization_learns(
    config, monkeypatch
):
    """A batch of one image has no variance of its own; stored ones will do."""
    from normtest_tf.training import classifier

    def single_values(network, normalization, task, **_):
        inputs = keras.Input(task.image_shape, dtype="uint8")
        pooled = keras.layers.GlobalAveragePooling2D()(
            keras.layers.Rescaling(1 / 255)(inputs)
        )
        normalised = keras.layers.BatchNormalization()(pooled)
        return keras.Model(inputs, keras.layers.Dense(task.num_classes)(normalised))

    monkeypatch.setattr(classifier, "build_classifier", single_values)
    images = datasets.load("digits").take(33, 20)
    for train in ("head", "frozen_bn"):
        run = variant(config, train=train, epochs=1)
        assert finetuning.run(run, images).final_epoch == 1
    for values in ({"train": "all"}, {"train": "head", "recalibrate": True}):
        with pytest.raises(errors.UsageError, match="would be a single image"):
            finetuning.run(variant(config, **values), images)


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({}, "digits/cifar_resnet8-finetune/seed-223"),
        ({"warmup_epochs": 1}, "digits/cifar_resnet8-finetune/seed-223"),
        (
            {"shift": "cast:1.0,0.60,0.3", "train": "head"},
            "digits+cast_1_0.6_0.3/cifar_resnet8+head-finetune/seed-223",
        ),
        (
            {"examples_per_class": 20, "shift": "gray", "optimizer": "sgd"},
            "digits+gray+20_per_class/cifar_resnet8+sgd-finetune/seed-223",
        ),
        (
            {"train": "frozen_bn", "recalibrate": True},
            "digits/cifar_resnet8+frozen_bn+recalibrated-finetune/seed-223",
        ),
    ],
)
def test_variants_have_their_own_names(values, path, tmp_path):
    config = new_config(tmp_path, **values)
    assert str(config.name) == path
    assert runs.RunName.parse(config.folder.path) == config.name
    assert (
        runs.RunName.of(
            config.resolved.requested
            if not values.get("recalibrate")
            else variant(config).resolved.requested
        )
        == config.name
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shift": "contrast:0"}, "--shift=contrast:C takes numbers from 0.001"),
        ({"train": "heads"}, "Did you mean 'head'"),
        ({"optimizer": "sdg"}, "Did you mean 'sgd'"),
        ({"warmup_epochs": EPOCHS + 1}, "--warmup_epochs must be from 0 to --epochs=4"),
        ({"examples_per_class": 0}, "--examples_per_class: Expected `int` >= 1"),
        ({"strategy": "data_parallel"}, "--strategy=data_parallel needs --backend=jax"),
        ({"recalibrate": True}, "needs --keep=final. Received: --keep=best_test"),
    ],
)
def test_bad_values_are_refused_before_anything_is_read(values, message, tmp_path):
    with pytest.raises(errors.UsageError, match=message):
        new_config(tmp_path, **values).check()


def test_equal_shifts_are_one_run_and_one_reading(tmp_path):
    one, other = (
        new_config(tmp_path, shift=shift) for shift in ("contrast:0.5", "contrast:0.50")
    )
    assert one.name == other.name
    assert one.reading == other.reading
    assert one.resolved.requested == other.resolved.requested


def test_runs_from_before_the_flags_are_accepted_and_pooled_with_new_ones(tmp_path):
    new = {"shift": "none", "train": "all", "optimizer": "adam", "warmup_epochs": 0}
    write_run(tmp_path, seed=1)
    write_run(tmp_path, seed=2, recalibrate=False, examples_per_class=None, **new)
    assert len(results.read(tmp_path).runs) == 2
    write_run(tmp_path, seed=3, **(new | {"warmup_epochs": 1}))
    with pytest.raises(errors.UsageError, match="warmup_epochs: 0 and 1"):
        results.read(tmp_path)


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
        assert identity.differences(recorded, config.resolved.requested) == []


def test_variants_are_cells_of_their_own(tmp_path):
    for dataset, model, values in (
        ("cifar10", "resnet18", {}),
        ("cifar10+invert", "resnet18", {"shift": "invert"}),
        ("cifar10", "resnet18+head", {"train": "head"}),
        ("csv-a", "resnet18", {}),
    ):
        path = write_run(tmp_path, dataset, model, **values) / "config.json"
        config = json.loads(path.read_text())
        for key in ("dataset", "model"):
            config["requested"][key] = config["requested"][key].partition("+")[0]
        path.write_text(json.dumps(config))
    found = results.read(tmp_path)
    assert [tuple(cell) for cell in found.cells] == [
        ("cifar10", "resnet18"),
        ("cifar10", "resnet18+head"),
        ("cifar10+invert", "resnet18"),
        ("csv-a", "resnet18"),
    ]


def test_what_was_shifted_is_shifted_again(config):
    """Files are classified as what the run was tested on."""
    config = variant(config, shift="invert", examples_per_class=4, epochs=1)
    finetuning.run(config)
    record = runs.ConfigRecord.read(config.folder)
    assert record.resolved.train_examples == 40
    assert metadata.find(config.folder.path)["image"]["shift"] == "invert"
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    file = config.folder.path / "image.png"
    PIL.Image.fromarray(pixels).save(file)
    classifier = prediction.load(config.folder.path)
    np.testing.assert_array_equal(classifier.read(file)[0], 255 - pixels)
