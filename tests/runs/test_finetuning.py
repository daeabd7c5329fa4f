"""One run end to end, on a small part of the digits."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from normtest_tf import datasets, errors, runs
from normtest_tf.runs import finetuning

FILES = {
    "config.json",
    "history.csv",
    "result.json",
    "model.keras",
    "tensorboard",
    ".lock",
}


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return runs.RunConfig(
        dataset="digits",
        model="cifar_resnet8",
        train_examples=120,
        test_examples=70,
        validation_examples=20,
        epochs=2,
        batch_size=32,
        keep="best_validation",
        results_dir=str(tmp_path_factory.mktemp("results")),
    )


@pytest.fixture(scope="module")
def result(config, digits):
    return finetuning.run(config, digits)


def test_the_folder_holds_what_the_contract_says(config, result):
    assert {path.name for path in config.folder.iterdir()} == FILES
    record = runs.read_json(config.folder / "config.json")
    assert record["requested"]["epochs"] == 2
    resolved = record["resolved"]
    assert resolved["train_examples"] == 100
    assert resolved["validation_examples"] == 20
    assert resolved["weights"] == "cifar10"
    assert resolved["precision"] == "float32"
    assert resolved["class_names"] == list("0123456789")
    assert len(record["data_fingerprint"]) == 64
    assert record["environment"]["keras"] == keras.__version__
    assert list((config.folder / "tensorboard").glob("events*"))
    stored = runs.read_json(config.folder / "result.json")
    assert stored == result
    history = runs.read_history(config.folder)
    assert [row["epoch"] for row in history] == [1, 2]
    assert result["final_test_accuracy"] == history[-1]["test_accuracy"]


def test_statistics_are_those_of_the_images_trained_on(config, digits, result):
    record = runs.read_json(config.folder / "config.json")
    kept, _, _ = datasets.split_validation(digits.take(120, 70), 20, config.seeds()[0])
    expected = (kept.train_images / 255).mean((0, 1, 2))
    np.testing.assert_allclose(record["resolved"]["statistics"]["mean"], expected)


def test_the_saved_model_has_the_accuracy_of_the_kept_epoch(config, digits, result):
    model = keras.models.load_model(config.folder / "model.keras")
    logits = model.predict(digits.test_images[:70], verbose=0)
    accuracy = (logits.argmax(1) == digits.test_labels[:70]).mean()
    history = runs.read_history(config.folder)
    kept = history[result["kept_epoch"] - 1]
    assert accuracy == pytest.approx(kept["test_accuracy"])
    best = max(row["validation_accuracy"] for row in history)
    assert kept["validation_accuracy"] == best


def test_a_finished_run_is_read_and_not_run_again(config, digits, result):
    before = (config.folder / "result.json").stat().st_mtime_ns
    assert finetuning.run(config, digits) == result
    assert (config.folder / "result.json").stat().st_mtime_ns == before
    other = dataclasses.replace(config, learning_rate=2e-3)
    with pytest.raises(errors.UsageError, match=r"learning_rate=0.001 there"):
        finetuning.run(other, digits)


def test_overwriting_runs_again(config, digits, result):
    changed = dataclasses.replace(config, epochs=1, overwrite=True, keep="best_test")
    again = finetuning.run(changed, digits)
    assert again["final_epoch"] == 1
    assert runs.read_json(config.folder / "config.json")["requested"]["epochs"] == 1
    assert {path.name for path in config.folder.iterdir()} == FILES
    assert len(list((config.folder / "tensorboard").iterdir())) == 1


def test_nothing_is_written_for_a_run_that_can_not_be(config, digits, tmp_path):
    impossible = dataclasses.replace(
        config, results_dir=str(tmp_path), model="keras_xception", weights="none"
    )
    with pytest.raises(errors.UsageError, match="71 pixels"):
        finetuning.run(impossible, digits)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_clear_error(config, digits, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "write_history", full)
    elsewhere = dataclasses.replace(config, results_dir=str(tmp_path))
    with pytest.raises(errors.UsageError, match=r"No space left.*run the same command"):
        finetuning.run(elsewhere, digits)
    assert not runs.is_finished(elsewhere.folder)


def test_dry_run_shows_values_and_summary_and_writes_nothing(tmp_path):
    config = runs.RunConfig(
        dataset="digits",
        model="cifar_resnet8",
        normalization="instance",
        results_dir=str(tmp_path),
    )
    text = finetuning.dry_run(config)
    assert '"normalization": "instance"' in text
    assert "layer3_0_conv2" in text
    assert str(config.folder) in text
    assert list(tmp_path.iterdir()) == []
    start, end = text.index("{"), text.index("\n}\n") + 2
    assert json.loads(text[start:end])["resolved"]["statistics"] is None
