"""One run end to end, and runs that meet a lock, a bad loss or a full disk."""

import contextlib
import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from normtest_tf import backbones, datasets, errors, runs
from normtest_tf.runs import finetuning, folder, history, identity
from normtest_tf.runs.predictions import Predictions
from normtest_tf.system import files
from normtest_tf.training import loop
from normtest_tf.training.recipe import EpochCosine
from tests.helpers import faults, programs
from tests.helpers.tiny_runs import EPOCHS, names, new_config, outcome

FILES = {
    "config.json",
    "history.csv",
    "result.json",
    "model.keras",
    "predictions.npz",
    "tensorboard",
    ".lock",
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


def test_the_folder_holds_what_the_contract_says(small, result):
    assert names(small) == FILES
    record = runs.ConfigRecord.read(small.folder)
    assert record.requested["epochs"] == 2
    resolved = record.resolved
    assert resolved.train_examples == 100
    assert resolved.validation_examples == 20
    assert resolved.weights == "cifar10"
    assert resolved.precision == "float32"
    assert resolved.class_names == tuple("0123456789")
    assert resolved.jit_compile in (True, False)
    assert len(record.data_fingerprint) == 64
    assert record.environment["keras"] == keras.__version__
    assert list(small.folder.tensorboard.glob("events*"))
    assert runs.ResultRecord.read(small.folder) == result
    rows = history.read(small.folder.history)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert result.final_test_accuracy == rows[-1]["test_accuracy"]


def test_statistics_are_those_of_the_images_trained_on(small, all_digits, result):
    record = runs.ConfigRecord.read(small.folder)
    kept, _, _ = datasets.split_validation(
        all_digits.take(120, 70), 20, small.resolved.seeds.data
    )
    expected = (kept.train_images / 255).mean((0, 1, 2))
    np.testing.assert_allclose(record.resolved.statistics.mean, expected)


def test_the_saved_model_has_the_accuracy_of_the_kept_epoch(small, all_digits, result):
    model = keras.models.load_model(small.folder.model)
    logits = model.predict(all_digits.test_images[:70], verbose=0)
    accuracy = (logits.argmax(1) == all_digits.test_labels[:70]).mean()
    rows = history.read(small.folder.history)
    kept = rows[result.kept_epoch - 1]
    assert accuracy == pytest.approx(kept["test_accuracy"])
    best = max(row["validation_accuracy"] for row in rows)
    assert kept["validation_accuracy"] == best
    predictions = Predictions.read(small.folder)
    np.testing.assert_array_equal(predictions.kept_class, logits.argmax(1))
    np.testing.assert_array_equal(
        predictions.kept_correct, logits.argmax(1) == all_digits.test_labels[:70]
    )
    assert predictions.final_correct.mean() == result.final_test_accuracy
    assert predictions.kept_correct.mean() == kept["test_accuracy"]


def test_a_finished_run_is_read_and_not_repeated(small, all_digits, result):
    before = small.folder.result.stat().st_mtime_ns
    assert finetuning.run(small, all_digits) == result
    assert small.folder.result.stat().st_mtime_ns == before
    other = dataclasses.replace(small, learning_rate=2e-3)
    with pytest.raises(errors.UsageError, match=r"learning_rate=0.001 there"):
        finetuning.run(other, all_digits)


def test_a_finished_run_does_not_answer_for_other_images(small, all_digits, result):
    labels = all_digits.test_labels.copy()
    labels[0] = (labels[0] + 1) % 10
    other = dataclasses.replace(all_digits, test_labels=labels)
    with pytest.raises(errors.UsageError, match="a finished run with another data set"):
        finetuning.run(small, other)
    with pytest.raises(errors.UsageError, match="another data set"):
        identity.finished_result(small, other.take(120, 70))
    assert identity.finished_result(small, all_digits.take(120, 70)) == result
    for path in (small.folder.model, small.folder.history):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(errors.UsageError, match=f"{path.name} .* is missing"):
            identity.finished_result(small, all_digits.take(120, 70))
        path.write_bytes(content)
    # Images that the run does not use may change.
    labels = all_digits.test_labels.copy()
    labels[100] = (labels[100] + 1) % 10
    other = dataclasses.replace(all_digits, test_labels=labels)
    assert finetuning.run(small, other) == result


def test_a_finished_run_does_not_answer_for_other_weights(tmp_path, all_digits):
    tensors = load_file(backbones.resolve("cifar_resnet8").fetch())
    paths = [tmp_path / name / "model.safetensors" for name in "ab"]
    for path in paths:
        path.parent.mkdir()
        save_file(tensors, path)
        tensors["layer1.0.bn1.bias"] = tensors["layer1.0.bn1.bias"] + 1
    config = runs.RunConfig(
        dataset="digits",
        model="cifar_resnet8",
        weights=str(paths[0]),
        train_examples=64,
        test_examples=10,
        epochs=1,
        results_dir=str(tmp_path / "results"),
    )
    result = finetuning.run(config, all_digits)
    with pytest.raises(errors.UsageError, match=r"weights model\.safetensors='"):
        finetuning.run(dataclasses.replace(config, weights=str(paths[1])), all_digits)
    # The same content elsewhere is the same weights.
    paths[1].write_bytes(paths[0].read_bytes())
    again = dataclasses.replace(config, weights=str(paths[1]))
    assert finetuning.run(again, all_digits) == result


def test_overwriting_runs_again(small, all_digits, result):
    changed = dataclasses.replace(small, epochs=1, overwrite=True, keep="best_test")
    again = finetuning.run(changed, all_digits)
    assert again.final_epoch == 1
    assert runs.ConfigRecord.read(small.folder).requested["epochs"] == 1
    assert names(small) == FILES
    assert len(list(small.folder.tensorboard.iterdir())) == 1


def test_nothing_is_written_for_an_impossible_run(small, all_digits, tmp_path):
    impossible = dataclasses.replace(
        small, results_dir=str(tmp_path), model="keras_xception", weights="none"
    )
    with pytest.raises(errors.UsageError, match="71 pixels"):
        finetuning.run(impossible, all_digits)
    assert list(tmp_path.iterdir()) == []


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


def test_a_run_is_told_how_the_former_one_normalised_if_that_matters(config, digits):
    finetuning.run(config, digits)
    weights = str(config.folder.path)
    for setting in ("pretrain", "finetune", "instance", "minmax"):
        again = dataclasses.replace(config, weights=weights, normalization=setting)
        notes = []
        finetuning.prepare(again, digits, notes.append)
        told = any("--pretrain_mean=" in note for note in notes)
        assert told == (setting == "pretrain")


def test_each_epoch_is_passed_on_as_a_line_and_nothing_is_printed(
    config, digits, capsys
):
    lines = []
    finetuning.run(config, digits, show_epoch=lines.append)
    assert [line[:9] for line in lines] == [f"epoch {n}/4" for n in range(1, 5)]
    assert "test " in lines[0]
    assert capsys.readouterr().out == ""


HOLD_LOCK = """
import pathlib, sys, time
from normtest_tf.system import files
with files.only_writer(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextlib.contextmanager
def locked(folder, seconds):
    """Lets another process lock a run's folder for some time."""
    with programs.start_python("-c", HOLD_LOCK, folder, seconds) as process:
        assert process.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            process.kill()


def test_a_folder_has_one_writer(config, digits):
    with (
        locked(config.folder.path, 600),
        pytest.raises(errors.Locked, match=r"seed-223; .*--results_dir"),
    ):
        finetuning.run(config, digits)
    finetuning.run(dataclasses.replace(config, epochs=1), digits)
    path = config.folder.path
    with locked(path, 1), files.only_writer(path, wait=True):
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
        "learning_rate": EpochCosine(0.01, 3, EPOCHS).at_epoch(2),
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


@pytest.mark.parametrize(
    ("fault", "moment", "error"),
    [
        (faults.before_writing_config, [], READ_ONLY),
        (faults.before_writing_history, [1], FULL),
        (faults.while_writing_tensorboard, [2], FULL_TO_TENSORFLOW),
        (faults.before_writing_checkpoint, [2], FULL),
        (faults.while_writing_checkpoint, [3], FULL),
        (faults.before_saving_model, [], FULL),
    ],
)
def test_a_full_disk_costs_nothing(fault, moment, error, config, digits, expected):
    with (
        fault(*moment, then=faults.fail(error)),
        pytest.raises(errors.UsageError, match=r"(No space|Read-only).*same command"),
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


@pytest.fixture
def small_disk(tmp_path):
    with faults.small_disk(tmp_path / "disk", size=256 * 2**10) as disk:
        if disk is None:
            pytest.skip("no tmpfs can be mounted here; that requires root")
        yield disk


def test_a_really_full_disk_costs_nothing(small_disk, tiny, digits, expected):
    config = new_config(small_disk)
    filler = small_disk / "filler"
    messages = []
    for room in (4, 24, 40, 56, 72):
        filler.unlink(missing_ok=True)
        free = shutil.disk_usage(small_disk).free
        filler.write_bytes(bytes(max(0, free - room * 1024)))
        try:
            finetuning.run(config, digits)
        except errors.UsageError as error:
            messages.append(str(error))
    assert messages
    assert all("space" in message.lower() for message in messages)
    filler.unlink()
    finetuning.run(config, digits)
    assert outcome(config) == expected
