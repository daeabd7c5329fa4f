"""Whether the run in a folder matches the request."""

import dataclasses
import hashlib

import keras
import numpy as np
import pytest

from normtest_tf import backbones, datasets, errors, runs
from normtest_tf.normalization import IMAGENET, MINMAX
from normtest_tf.runs import finetuning, identity
from normtest_tf.runs.folder import UNRECORDED, as_of_now
from tests.helpers.records import CONFIG, CONFIG_JSON, REQUESTED, STATISTICS


def write(config, requested=None):
    requested = requested or config.resolved.requested
    dataclasses.replace(CONFIG, requested=requested).write(config.folder)


@pytest.fixture
def started(tmp_path):
    config = runs.RunConfig(results_dir=str(tmp_path), epochs=3)
    write(config)
    return config


def refuse(config, words):
    with pytest.raises(errors.UsageError, match=words):
        identity.check_request(config)


def test_a_run_of_another_configuration_is_refused(started, monkeypatch):
    identity.check_request(started)
    elsewhere = dataclasses.replace(started, data_dir="elsewhere", overwrite=True)
    identity.check_request(elsewhere)
    other = dataclasses.replace(started, epochs=4)
    refuse(other, "an unfinished run with another")
    started.folder.result.touch()
    refuse(other, r"a finished run .*epochs=3 there, epochs=4 now")
    # Runs from before the flag were not deterministic.
    old = dict(started.resolved.requested)
    del old["deterministic"]
    write(started, old)
    identity.check_request(started)
    other = dataclasses.replace(started, deterministic=True)
    refuse(other, "deterministic=False there")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    refuse(started, "KERAS_BACKEND='tensorflow' there, KERAS_BACKEND='jax")
    identity.check_request(dataclasses.replace(started, overwrite=True))


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


ONE_TEST_IMAGE = {
    "test_images": np.ones([1, 4, 4, 3], np.uint8),
    "test_labels": np.array([0], np.int32),
}


@pytest.mark.parametrize(
    ("changes", "resolved", "words"),
    [
        ({}, {}, None),
        ({"name": "x"}, {}, None),
        ({"train_images": np.ones([6, 4, 4, 3], np.uint8)}, {}, "fingerprint"),
        ({"train_labels": np.zeros(6, np.int32)}, {}, "fingerprint"),
        ({"class_names": ("dog", "cat")}, {}, "fingerprint"),
        ({"class_names": ("a", "b", "c")}, {}, "classes=2 there, classes=3 now"),
        (ONE_TEST_IMAGE, {}, "test images=2 there, test images=1 now"),
        ({}, {"weights_sha256": "a" * 64}, "weights cifar10='aaaaaaaaaaaa' there"),
        ({}, {"train_examples": 3}, "training images=5 there, training images=6 now"),
        ({}, {"image_shape": (64, 64, 3)}, "padding=1 there, padding=8 now"),
        ({}, {"image_shape": (65, 65, 3)}, "'pad_crop_flip' there, .*'random_resized"),
        ({}, {"augmentation": "flip"}, "augmentation='flip' there"),
    ],
)
def test_other_inputs_are_refused(started, images, changes, resolved, words):
    two_held_out = {"train_examples": 4, "validation_examples": 2, "test_examples": 2}
    resolved = two_held_out | {"image_shape": (4, 4, 3), "padding": 1} | resolved
    dataclasses.replace(
        CONFIG,
        requested=started.resolved.requested,
        resolved=dataclasses.replace(CONFIG.resolved, **resolved),
        data_fingerprint=images.fingerprint(),
    ).write(started.folder)
    now = dataclasses.replace(images, **changes)
    if words is None:
        assert identity.finished_result(started, now) is None
        return
    with pytest.raises(errors.UsageError, match=rf"weights or augmentation: .*{words}"):
        identity.finished_result(started, now)


def test_differences_name_both_values_and_descriptions_do_not_count():
    assert identity.differences({"a": 1, "b": 2}, {"b": 2}) == ["a=1 there, a=None now"]
    there = {"statistics": {"mean": [0.1, 0.2, 0.3], "source": "ImageNet"}}
    now = {"statistics": {"mean": [0.1, 0.2, 0.3], "source": "a paper"}}
    assert identity.differences(there, now) == []
    now["statistics"]["mean"] = [0.1, 0.2, 0.4]
    assert len(identity.differences(there, now)) == 1


def note_on_weights(former, statistics=STATISTICS, config=CONFIG, name="model.keras"):
    """Returns the note on the model of a run whose record is `config`."""
    config.write(runs.RunFolder(former))
    default = backbones.resolve("cifar_resnet8", "none")
    assumed = dataclasses.replace(default.pretraining, statistics=IMAGENET)
    network = dataclasses.replace(default, path=former / name, pretraining=assumed)
    return identity.statistics_note(network, statistics)


def with_statistics(**values):
    there = dataclasses.replace(IMAGENET, **values)
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


def test_there_is_no_such_note_where_it_would_not_apply(tmp_path):
    mean = tuple(value * 1.00001 for value in IMAGENET.mean)  # As flags had them.
    none = dataclasses.replace(CONFIG.resolved, statistics=None)
    for config in (
        with_statistics(),
        with_statistics(mean=mean, source="flags"),
        dataclasses.replace(CONFIG, resolved=none),
    ):
        assert note_on_weights(tmp_path, IMAGENET, config) is None
    for statistics in (None, MINMAX, STATISTICS):  # Not those of pre-training.
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
    resolved = CONFIG_JSON["resolved"].items()
    assert found == {
        "format": 1,
        "data_fingerprint": "abc",
        "initial_weights": digest,
        **{f"requested {name}": value for name, value in REQUESTED.items()},
        **{f"resolved {name}": v for name, v in resolved if name != "class_names"},
    }


def test_a_checkpoint_of_other_batch_statistics_is_another_runs():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    two, none = (
        identity.compute(
            dataclasses.replace(
                CONFIG,
                resolved=dataclasses.replace(CONFIG.resolved, own_statistics=devices),
            ),
            model,
        )
        for devices in (2, None)
    )
    assert identity.differences(two, none) == [
        "resolved own_statistics=2 there, resolved own_statistics=None now"
    ]


def test_flags_that_are_gone_matter_only_where_they_were_used():
    then = {"seed": 1, "steps_per_execution": 1, "sync_batch_norm": False}
    now = {**UNRECORDED, "seed": 1}
    assert as_of_now(then) == now
    assert as_of_now(then | {"steps_per_execution": 8}) == now | {
        "steps_per_execution": 8
    }
    of_checkpoint = as_of_now({"requested steps_per_execution": 1}, "requested ")
    assert of_checkpoint == {f"requested {name}": v for name, v in UNRECORDED.items()}
