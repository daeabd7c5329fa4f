"""Whether the run in a folder matches the request."""

import dataclasses
import hashlib
import json

import keras
import numpy as np
import pytest

from normtest_tf import backbones, datasets, errors, runs
from normtest_tf.normalization import IMAGENET, MINMAX
from normtest_tf.runs import finetuning, identity
from normtest_tf.runs.folder import UNRECORDED, as_of_now
from tests.helpers.records import CONFIG, REQUESTED, STATISTICS


def write(config, requested):
    dataclasses.replace(CONFIG, requested=requested).write(config.folder)


def check(config):
    identity.check_request(config)


@pytest.fixture
def started(tmp_path):
    config = runs.RunConfig(results_dir=str(tmp_path), epochs=3)
    write(config, config.resolved.requested)
    return config


def test_a_run_of_another_configuration_is_refused(started):
    check(started)
    check(dataclasses.replace(started, data_dir="elsewhere", overwrite=True))
    other = dataclasses.replace(started, epochs=4)
    with pytest.raises(errors.UsageError, match="an unfinished run with another"):
        check(other)
    started.folder.result.touch()
    with pytest.raises(
        errors.UsageError, match=r"a finished run .*epochs=3 there, epochs=4 now"
    ):
        check(other)


def test_runs_from_before_the_flag_were_not_deterministic(started):
    old = dict(started.resolved.requested)
    del old["deterministic"]
    write(started, old)
    check(started)
    with pytest.raises(errors.UsageError, match="deterministic=False there"):
        check(dataclasses.replace(started, deterministic=True))


def test_a_run_on_another_backend_is_refused(started, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(
        errors.UsageError, match="KERAS_BACKEND='tensorflow' there, KERAS_BACKEND='jax"
    ):
        check(started)
    check(dataclasses.replace(started, overwrite=True))


@pytest.fixture
def images():
    return datasets.ImageDataset(
        name="some",
        train_images=np.zeros([6, 4, 4, 3], np.uint8),
        train_labels=np.array([0, 1, 0, 1, 0, 1], np.int32),
        test_images=np.ones([2, 4, 4, 3], np.uint8),
        test_labels=np.array([0, 1], np.int32),
        class_names=("cat", "dog"),
    )


def write_inputs(config, images, **resolved):
    """Writes the record of a run on `images`, of which two were held out."""
    resolved = {
        "train_examples": 4,
        "validation_examples": 2,
        "test_examples": 2,
        "image_shape": (4, 4, 3),
        "padding": 1,
        **resolved,
    }
    dataclasses.replace(
        CONFIG,
        requested=config.resolved.requested,
        resolved=dataclasses.replace(CONFIG.resolved, **resolved),
        data_fingerprint=images.fingerprint(),
    ).write(config.folder)


def test_the_same_images_and_weights_are_accepted(started, images):
    write_inputs(started, images)
    for same in (images, dataclasses.replace(images, name="x")):
        assert identity.finished_result(started, same) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_images": np.ones([6, 4, 4, 3], np.uint8)}, "fingerprint"),
        ({"train_labels": np.zeros(6, np.int32)}, "fingerprint"),
        ({"class_names": ("dog", "cat")}, "fingerprint"),
        ({"class_names": ("cat", "dog", "emu")}, "classes=2 there, classes=3 now"),
        (
            {
                "test_images": np.ones([1, 4, 4, 3], np.uint8),
                "test_labels": np.array([0], np.int32),
            },
            "test images=2 there, test images=1 now",
        ),
    ],
)
def test_other_images_of_the_same_name_are_refused(started, images, changes, words):
    write_inputs(started, images)
    other = dataclasses.replace(images, **changes)
    with pytest.raises(errors.UsageError, match=rf"with another data set.*{words}"):
        identity.finished_result(started, other)


@pytest.mark.parametrize(
    ("resolved", "words"),
    [
        ({"weights_sha256": "a" * 64}, "weights cifar10='aaaaaaaaaaaa' there"),
        ({"train_examples": 3}, "training images=5 there, training images=6 now"),
        ({"image_shape": (64, 64, 3)}, "padding=1 there, padding=8 now"),
        ({"image_shape": (65, 65, 3)}, "'pad_crop_flip' there, .*'random_resized_crop"),
        ({"augmentation": "flip"}, "augmentation='flip' there"),
    ],
)
def test_other_weights_and_augmentations_are_refused(started, images, resolved, words):
    write_inputs(started, images, **resolved)
    with pytest.raises(errors.UsageError, match=rf"weights or augmentation: .*{words}"):
        identity.finished_result(started, images)


def test_descriptions_may_be_worded_differently():
    """A later version may say more about the same weights."""
    there = {"resolved statistics": {"mean": [0.1, 0.2, 0.3], "source": "ImageNet"}}
    now = {"resolved statistics": {"mean": [0.1, 0.2, 0.3], "source": "a paper"}}
    assert identity.differences(there, now) == []
    now["resolved statistics"]["mean"] = [0.1, 0.2, 0.4]
    assert len(identity.differences(there, now)) == 1


def test_differences_name_both_values():
    assert identity.differences({"a": 1, "b": 2}, {"b": 2}) == ["a=1 there, a=None now"]
    assert identity.differences({"a": [1]}, {"a": [1]}) == []


def note_on_weights(former, statistics=STATISTICS, config=CONFIG, name="model.keras"):
    """Returns the note on the model of a run whose record is `config`."""
    config.write(runs.RunFolder(former))
    default = backbones.resolve("cifar_resnet8", "none")
    assumed = dataclasses.replace(default.pretraining, statistics=IMAGENET)
    network = dataclasses.replace(default, path=former / name, pretraining=assumed)
    return identity.statistics_note(network, statistics)


def with_statistics(**values):
    there = CONFIG.resolved.statistics
    there = there and dataclasses.replace(IMAGENET, **values)
    resolved = dataclasses.replace(CONFIG.resolved, statistics=there)
    return dataclasses.replace(CONFIG, resolved=resolved)


def test_a_run_that_normalises_otherwise_than_the_former_one_gets_its_flags(tmp_path):
    note = note_on_weights(tmp_path, IMAGENET)
    flags = "--pretrain_mean=0.1,0.2,0.3 --pretrain_std=0.4,0.5,0.6"
    assert note.startswith(f"the run in {tmp_path} normalised its inputs with mean 0.1")
    assert note.endswith(f"pass {flags}")
    mean = (0.49139968, 0.5, 0.25)
    note = note_on_weights(tmp_path, IMAGENET, with_statistics(mean=mean))
    assert "--pretrain_mean=0.4914,0.5,0.25 " in note


def test_there_is_no_such_note_where_nothing_differs(tmp_path):
    mean = tuple(value * 1.00001 for value in IMAGENET.mean)  # As flags had them.
    for config in (with_statistics(), with_statistics(mean=mean, source="flags")):
        assert note_on_weights(tmp_path, IMAGENET, config) is None
    none = dataclasses.replace(CONFIG.resolved, statistics=None)
    none = dataclasses.replace(CONFIG, resolved=none)
    assert note_on_weights(tmp_path, IMAGENET, none) is None


def test_there_is_no_such_note_where_pretrainings_statistics_are_not_used(tmp_path):
    for statistics in (None, MINMAX, STATISTICS):
        assert note_on_weights(tmp_path, statistics) is None


def test_there_is_no_such_note_on_other_weights(tmp_path):
    assert note_on_weights(tmp_path, IMAGENET, name="model.safetensors") is None
    for name in ("cifar10", "none"):
        network = backbones.resolve("cifar_resnet8", name)
        statistics = network.pretraining.statistics
        assert identity.statistics_note(network, statistics) is None
    network = dataclasses.replace(network, path=tmp_path / "model.keras")
    for text in ("{", "{}", '{"resolved": 7}'):
        (tmp_path / "config.json").write_text(text)
        assert identity.statistics_note(network, statistics) is None
    (tmp_path / "config.json").unlink()
    assert identity.statistics_note(network, statistics) is None


def test_large_images_are_augmented_otherwise_which_is_reported(tmp_path, images):
    config = runs.RunConfig(model="cifar_resnet8", results_dir=str(tmp_path))
    for size, reported in ((64, False), (72, True)):
        notes = []
        resized = np.zeros([6, size, size, 3], np.uint8)
        large = dataclasses.replace(
            images, train_images=resized, test_images=resized[:2]
        )
        prepared = finetuning.prepare(config, large, notes.append)
        resolved = prepared.record.resolved
        expected = ("random_resized_crop_flip", 0) if reported else ("pad_crop_flip", 8)
        assert (resolved.augmentation, resolved.padding) == expected
        assert prepared.data.augmentation == expected[0]
        assert any("--augmentation=random_res" in note for note in notes) == reported
        assert prepared.record.requested["augmentation"] is None


def test_the_identity_of_a_checkpoint_is_that_of_0_2_0():
    """Otherwise checkpoints of that version could not be resumed from."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    kernel, bias = model.get_weights()
    digest = hashlib.sha256(kernel.tobytes() + bias.tobytes()).hexdigest()
    found = identity.compute(CONFIG, model)
    assert json.loads(json.dumps(found)) == found
    assert found == {
        "format": 1,
        "data_fingerprint": "abc",
        "initial_weights": digest,
        **{f"requested {name}": value for name, value in REQUESTED.items()},
        "resolved weights": "cifar10",
        "resolved weights_sha256": None,
        "resolved pretraining": CONFIG.resolved.pretraining,
        "resolved statistics": {
            "mean": [0.1, 0.2, 0.3],
            "std": [0.4, 0.5, 0.6],
            "definition": "pooled",
            "source": "a test",
        },
        "resolved precision": "float32",
        "resolved augmentation": "pad_crop_flip",
        "resolved padding": 4,
        "resolved data_seed": 1,
        "resolved model_seed": 2,
        "resolved train_examples": 50,
        "resolved test_examples": 10,
        "resolved validation_examples": 0,
        "resolved image_shape": [32, 32, 3],
        "resolved parameters": 123,
    }


def test_a_checkpoint_of_other_batch_statistics_is_another_runs():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    two, three, none = (
        identity.compute(
            dataclasses.replace(
                CONFIG,
                resolved=dataclasses.replace(CONFIG.resolved, own_statistics=devices),
            ),
            model,
        )
        for devices in (2, 3, None)
    )
    assert not identity.differences(two, two)
    assert identity.differences(two, three) == [
        "resolved own_statistics=2 there, resolved own_statistics=3 now"
    ]
    assert len(identity.differences(two, none)) == 1


def test_flags_that_are_gone_matter_only_where_they_were_used():
    then = {"seed": 1, "steps_per_execution": 1, "sync_batch_norm": False}
    now = {**UNRECORDED, "seed": 1}
    assert as_of_now(then) == now
    assert as_of_now(then | {"steps_per_execution": 8}) == now | {
        "steps_per_execution": 8
    }
    of_checkpoint = as_of_now({"requested steps_per_execution": 1}, "requested ")
    assert of_checkpoint == {f"requested {name}": v for name, v in UNRECORDED.items()}
