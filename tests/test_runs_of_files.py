"""Runs of a network that the user brings in a .keras file."""

import dataclasses

import keras
import numpy as np
import pytest

from normtest_tf import errors, runs
from normtest_tf.analysis import results
from normtest_tf.export import describe_run, prediction, writers
from normtest_tf.runs import finetuning

HALVES = {"pretrain_mean": (0.5,) * 3, "pretrain_std": (0.25,) * 3}
L = keras.layers


def network(seed=0):
    """Returns a small classifier with an operation among its layers."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((None, None, 3), name="pixels")
    x = L.Conv2D(6, 3, strides=4, name="conv")(inputs)
    x = L.BatchNormalization(name="norm")(x)
    x = keras.ops.relu(x) + 0.5 * x
    x = L.Dropout(0.1)(L.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, L.Dense(7, "softmax", name="top")(x))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("nets") / "my net.keras"
    network().save(path)
    return path


def new_config(folder, path, **values):
    values = {"epochs": 3, "batch_size": 32, "learning_rate": 0.01} | HALVES | values
    values |= {"results_dir": str(folder), "checkpoint_every": 1}
    return runs.RunConfig(dataset="digits", model=str(path), **values)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, path, digits):
    config = new_config(tmp_path_factory.mktemp("results"), path)
    finetuning.run(config, digits)
    return config


def test_its_folder_and_records_name_the_file_without_its_path(finished, path):
    assert finished.folder.path.parent.name == "file-my_net-finetune"
    record = runs.ConfigRecord.read(finished.folder)
    assert record.requested["model"] == "file-my_net"
    assert record.requested["weights"] is None
    assert record.resolved.weights == "my net.keras"
    assert record.resolved.weights_sha256 == finished.resolved.network.sha256()
    assert record.resolved.pretraining["origin"] == "file"
    assert record.resolved.pretraining["statistics"]["mean"] == [0.5] * 3
    assert str(path.parent) not in finished.folder.config.read_text()


def test_training_starts_from_the_weights_in_the_file(tmp_path, path, digits):
    notes = []
    config = new_config(tmp_path, path, normalization="pretrain")
    model = finetuning.prepare(config, digits, notes.append).model
    backbone, saved = model.get_layer("file-my_net"), network()
    assert notes == ["took the classifier 'top' off my net.keras"]
    np.testing.assert_array_equal(
        backbone.get_layer("conv").kernel, saved.get_layer("conv").kernel
    )
    pixels = digits.test_images
    normalised = (pixels / 255 - 0.5) / 0.25
    before_top = keras.Model(saved.input, saved.get_layer("top").input)
    features = np.array(before_top(normalised.astype("float32")))
    kernel, bias = model.get_layer("head").get_weights()
    np.testing.assert_allclose(model(pixels), features @ kernel + bias, rtol=1e-3)


def test_a_run_belongs_to_the_content_of_its_file(tmp_path, path, digits, finished):
    other = tmp_path / path.name
    network(seed=1).save(other)
    config = dataclasses.replace(finished, model=str(other))
    assert config.resolved.requested == finished.resolved.requested
    with pytest.raises(errors.UsageError, match="SHA-256 of the weights"):
        finetuning.run(config, digits)
    other.write_bytes(path.read_bytes())
    config = dataclasses.replace(finished, model=str(other))
    assert finetuning.run(config, digits) == finetuning.run(finished, digits)


def test_its_model_is_stock_and_exported(tmp_path, finished, digits):
    model = keras.models.load_model(finished.folder.model)
    assert type(model.get_layer("file-my_net").get_layer("conv")) is L.Conv2D
    description = describe_run(finished.folder, "logits")
    assert description["run"]["model"] == "file-my_net"
    path, images = tmp_path / "model.keras", digits.test_images[:2]
    writers.write(writers.build(model, "logits"), path, "keras", description)
    expected = prediction.load(finished.folder.path).probabilities(images)
    assert expected.shape == (2, 10)
    found = prediction.load(path).probabilities(images)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    (run,) = results.read(finished.folder.path.parents[2]).runs
    assert run.name.model == "file-my_net"
    # The network can be taken out, as the refusal of a run's model says.
    model.get_layer("file-my_net").save(tmp_path / "next.keras")
    config = new_config(tmp_path, tmp_path / "next.keras")
    again = finetuning.prepare(config, digits).model
    np.testing.assert_array_equal(again.get_weights()[2], model.get_weights()[2])
