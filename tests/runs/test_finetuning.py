"""One run end to end, and runs that meet a lock, a bad loss or a full disk."""

import dataclasses
import json
import shutil
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from normtest_tf import datasets, errors, runs
from normtest_tf.runs import finetuning, folder
from normtest_tf.runs.record import Predictions
from normtest_tf.system import files
from normtest_tf.training import classifier, loop
from normtest_tf.training.recipe import EpochCosine, Recipe
from tests.helpers import faults, programs
from tests.helpers.tiny_runs import EPOCHS, names, outcome

FILES = {
    *("config.json", "history.csv", "result.json", "model.keras", "predictions.npz"),
    *("tensorboard", ".lock"),
}


@pytest.fixture(scope="module")
def all_digits():
    return datasets.load("digits")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The configuration of a run of a real network."""
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
def result(small, all_digits):
    return finetuning.run(small, all_digits)


def test_the_folder_holds_what_the_contract_says(small, all_digits, result):
    assert names(small) == FILES
    record = runs.ConfigRecord.read(small.folder)
    assert record.requested["epochs"] == 2
    resolved = record.resolved
    assert (resolved.train_examples, resolved.validation_examples) == (100, 20)
    assert (resolved.weights, resolved.precision) == ("cifar10", "float32")
    assert resolved.class_names == tuple("0123456789")
    assert resolved.jit_compile in (True, False)
    assert len(record.data_fingerprint) == 64
    assert record.environment["keras"] == keras.__version__
    assert list(small.folder.tensorboard.glob("events*"))
    assert runs.ResultRecord.read(small.folder) == result
    rows = small.folder.read_history()
    assert [row["epoch"] for row in rows] == [1, 2]
    assert result.final_test_accuracy == rows[-1]["test_accuracy"]
    # Statistics are those of the images trained on.
    kept, _, _ = datasets.split_validation(
        all_digits.take(120, 70), 20, small.resolved.seeds.data
    )
    expected = (kept.train_images / 255).mean((0, 1, 2))
    np.testing.assert_allclose(resolved.statistics.mean, expected)


def test_the_saved_model_has_the_accuracy_of_the_kept_epoch(small, all_digits, result):
    model = keras.models.load_model(small.folder.model)
    found = model.predict(all_digits.test_images[:70], verbose=0).argmax(1)
    is_right = found == all_digits.test_labels[:70]
    rows = small.folder.read_history()
    kept = rows[result.kept_epoch - 1]
    assert is_right.mean() == pytest.approx(kept["test_accuracy"])
    best = max(row["validation_accuracy"] for row in rows)
    assert kept["validation_accuracy"] == best
    predictions = Predictions.read(small.folder)
    np.testing.assert_array_equal(predictions.kept_class, found)
    np.testing.assert_array_equal(predictions.kept_correct, is_right)
    assert predictions.final_correct.mean() == result.final_test_accuracy


def test_a_finished_run_is_read_and_answers_for_no_other(small, all_digits, result):
    before = small.folder.result.stat().st_mtime_ns
    assert finetuning.run(small, all_digits) == result
    assert small.folder.result.stat().st_mtime_ns == before
    other = dataclasses.replace(small, learning_rate=2e-3)
    with pytest.raises(errors.UsageError, match=r"learning_rate=0.001 there"):
        finetuning.run(other, all_digits)
    for index in (0, 100):  # The run does not use the second.
        labels = all_digits.test_labels.copy()
        labels[index] = (labels[index] + 1) % 10
        changed = dataclasses.replace(all_digits, test_labels=labels)
        if index:
            assert finetuning.run(small, changed) == result
        else:
            with pytest.raises(errors.UsageError, match="with another data set"):
                finetuning.run(small, changed)
    for path in (small.folder.model, small.folder.history):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(errors.UsageError, match=f"{path.name} .* is missing"):
            finetuning.run(small, all_digits)
        path.write_bytes(content)


def test_nothing_is_written_for_an_impossible_run(small, all_digits, tmp_path):
    impossible = dataclasses.replace(
        small, results_dir=str(tmp_path), model="keras_xception", weights="none"
    )
    with pytest.raises(errors.UsageError, match="71 pixels"):
        finetuning.run(impossible, all_digits)
    assert list(tmp_path.iterdir()) == []


def test_a_run_reports_epochs_and_how_the_former_one_normalised(config, digits, capsys):
    lines = []
    config = dataclasses.replace(config, epochs=2)
    finetuning.run(config, digits, show_epoch=lines.append)
    starts = ["device: CPU", "epoch 1/2", "epoch 2/2"]
    assert all(map(str.startswith, lines, starts))
    assert len(lines) == 3
    assert "test " in lines[1]
    weights = str(config.folder.path)
    for setting in ("pretrain", "finetune"):
        again = dataclasses.replace(config, weights=weights, normalization=setting)
        notes = []
        finetuning.prepare(again, digits, notes.append)
        has_flags = any("--pretrain_mean=" in note for note in notes)
        assert has_flags == (setting == "pretrain")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("augmentation", ["none", "pad_crop_flip"])
def test_a_frozen_head_is_trained_on_features_as_on_images(
    augmentation, small, all_digits, tmp_path, monkeypatch
):
    found, divided, divide = [], [], classifier.divide
    monkeypatch.setattr(
        classifier, "divide", lambda model: divided.append(model) or divide(model)
    )
    for number, on_features in enumerate([True, False, True]):
        config = dataclasses.replace(
            small,
            train="head",
            augmentation=augmentation,
            checkpoint_every=1,
            results_dir=str(tmp_path / str(number)),
        )
        with monkeypatch.context() as patch:
            if not on_features:
                never = lambda *_: False  # noqa: E731
                patch.setattr(finetuning.Prepared, "trains_on_features", never)
            if number == 2:
                with faults.after_epoch(1), pytest.raises(faults.Killed):
                    finetuning.run(config, all_digits)
            finetuning.run(config, all_digits)
        found.append(outcome(config))
    assert len(divided) == 3  # The last one was killed, and resumed.
    assert found[0] == found[2]
    for on_features, on_images in zip(found[0][0], found[1][0], strict=True):
        assert on_features == pytest.approx(on_images, rel=1e-6)


HOLD_LOCK = """
import pathlib, sys, time
from normtest_tf.system import files
with files.only_writer(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_a_folder_has_one_writer(config, digits):
    path = config.folder.path
    with programs.start_python("-c", HOLD_LOCK, path) as process:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(errors.Locked, match=r"seed-223; .*--results_dir"):
            finetuning.run(config, digits)
        threading.Timer(0.2, process.kill).start()
        with files.only_writer(path, wait=True):
            pass


def test_a_loss_that_is_not_finite_stops_the_run(config, digits, expected):
    real = EpochCosine.__call__

    def explodes(self, step):
        good = step < 2 * self.steps_per_epoch
        return keras.ops.where(good, real(self, step), float("inf"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EpochCosine, "__call__", explodes)
        with pytest.raises(errors.TrainingFailed, match="last good epoch is 2"):
            finetuning.run(config, digits)
    failed = json.loads(config.folder.failure.read_text())
    assert "train_loss is not finite" in failed.pop("error")
    assert failed == {
        "format": folder.FORMAT,
        "epoch": 3,
        "step": 2,
        "learning_rate": EpochCosine(Recipe(EPOCHS, learning_rate=0.01), 3).at_epoch(2),
        "last_good_epoch": 2,
    }
    assert finetuning.run(config, digits).resumed_epochs == (2,)
    assert "failed.json" not in names(config)
    assert outcome(config) == expected


def test_a_loss_that_is_not_finite_in_evaluation_stops_the_run(
    config, digits, monkeypatch
):
    found = loop.Evaluation(float("nan"), 0.0, np.zeros(len(digits.test_labels)))
    monkeypatch.setattr(loop, "evaluate", lambda *_: found)
    with pytest.raises(errors.TrainingFailed, match="test_loss is not finite"):
        finetuning.run(config, digits)
    assert not config.folder.history.exists()


FULL = OSError(28, "No space left on device")
READ_ONLY = OSError(30, "Read-only file system")
FULL_TO_TENSORFLOW = tf.errors.ResourceExhaustedError(None, None, FULL.strerror)


def test_a_full_disk_costs_nothing(config, digits, expected):
    for fault, moment, error in [
        (faults.before_writing_config, [], READ_ONLY),
        (faults.before_writing_history, [1], FULL),
        (faults.while_writing_tensorboard, [2], FULL_TO_TENSORFLOW),
        (faults.before_writing_checkpoint, [2], FULL),
        (faults.while_writing_checkpoint, [3], FULL),
        (faults.before_saving_model, [], FULL),
    ]:
        with (
            fault(*moment, then=faults.fail(error)),
            pytest.raises(errors.UsageError, match=r"(No sp|Read-on).*same command"),
        ):
            finetuning.run(config, digits)
        assert not config.folder.is_finished()
    finetuning.run(config, digits)
    assert outcome(config) == expected


def test_a_folder_that_was_removed_is_not_recreated(config, digits):
    def remove():
        shutil.rmtree(config.folder.path)

    with (
        faults.after_step(1, 3, then=remove),
        pytest.raises(errors.UsageError, match="the folder was removed"),
    ):
        finetuning.run(config, digits)
    assert not config.folder.path.exists()
