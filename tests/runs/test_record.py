"""What a run records, and whether it matches a request."""

import copy
import dataclasses
import json

import numpy as np
import pytest

from normtest_tf import errors, runs
from normtest_tf.runs import (
    RULES,
    ConfigRecord,
    FailureRecord,
    ResultRecord,
    RunFolder,
    finetuning,
    record,
)
from normtest_tf.runs.folder import UNRECORDED, as_of_now
from tests.datasets.helpers import make_dataset
from tests.helpers.records import (
    CONFIG,
    CONFIG_JSON,
    RESOLVED,
    RESULT,
    VALIDATED,
)


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path)


@pytest.mark.parametrize(
    "changes", [{}, {"jit_compile": True}, {"statistics": None, "weights_sha256": "0a"}]
)
def test_a_configuration_is_read_as_it_was_written(run, changes):
    resolved = dataclasses.replace(RESOLVED, **changes)
    written = dataclasses.replace(CONFIG, resolved=resolved)
    written.write(run)
    assert ConfigRecord.read(run) == written


def test_config_json_has_the_layout_of_0_2_0():
    assert json.loads(json.dumps(CONFIG.to_json())) == CONFIG_JSON


def test_flags_that_were_not_recorded_had_their_defaults(run):
    values = copy.deepcopy(CONFIG_JSON)
    for name in UNRECORDED:
        del values["requested"][name]
    run.config.write_text(json.dumps(values))
    assert ConfigRecord.read(run) == CONFIG


@pytest.mark.parametrize("result", [RESULT, VALIDATED])
def test_a_result_is_read_as_it_was_written(run, result):
    result.write(run)
    assert ResultRecord.read(run) == result
    keys = json.loads(run.result.read_text()).keys()
    assert ("best_validation_epoch" in keys) == (result is VALIDATED)


def test_each_rule_has_its_test_accuracy_and_its_line():
    found = {name: VALIDATED.test_accuracy(rule) for name, rule in RULES.items()}
    assert found == {"final": 0.7, "best_test": 0.8, "best_validation": 0.6}
    assert RESULT.test_accuracy(RULES["best_validation"]) is None
    assert RESULT.describe().splitlines() == [
        "test accuracy  70.00% after the final epoch (3)",
        "               80.00% at best (epoch 2, chosen on the test images, as in the "
        "PyTorch study)",
    ]
    assert "60.00% in epoch 1, chosen on validation" in VALIDATED.describe()


def places(values, path=()):
    """Returns the path of every value that a record holds."""
    found = []
    for name, value in values.items():
        found.append((*path, name))
        if name in ("requested", "resolved", "statistics", "environment"):
            found += places(value, (*path, name))
    return found


# They may be missing: they were added later, or are not always known.
OPTIONAL = {*UNRECORDED, "format", "peak_memory_mib", "resumed_epochs"}
RECORDS = [(ConfigRecord, CONFIG_JSON), (ResultRecord, dataclasses.asdict(RESULT))]


@pytest.mark.parametrize(
    ("record", "values", "place"),
    [
        (record, values, place)
        for record, values in RECORDS
        for place in places(values)
        if not place[-1].startswith("best_val") and place[-1] != "deterministic"
    ],
    ids=lambda value: "/".join(value) if isinstance(value, tuple) else "",
)
def test_a_record_that_was_edited_is_refused_in_one_line(run, record, values, place):
    edits = [{}, [True], "absent"]
    if place[-1].endswith("accuracy"):
        edits += [1.5, -0.1, True]
    if place[-1].endswith("examples") or place[-1] == "parameters":
        edits += [-3]
    for value in edits:
        inner = edited = json.loads(json.dumps(values))
        for name in place[:-1]:
            inner = inner[name]
        was = inner.pop(place[-1])
        if value == "absent":
            if place[-1] in OPTIONAL:
                continue
        elif isinstance(was, type(value)):
            continue  # Any object or list may do.
        else:
            inner[place[-1]] = value
        for path in (run.config, run.result):
            path.write_text(json.dumps(edited))
        with pytest.raises(errors.UsageError, match=place[-1]) as caught:
            record.read(run)
        assert str(caught.value).startswith(f"can't read {run.path}")
        assert str(caught.value).endswith("--overwrite")
        assert len(str(caught.value).splitlines()) == 1


def test_a_failure_is_read_as_it_was_written(run):
    written = FailureRecord("the loss is not finite", {"epoch": 2})
    written.write(run)
    assert FailureRecord.read(run) == written
    assert json.loads(run.failure.read_text()) == {
        "format": 1,
        "error": "the loss is not finite",
        "epoch": 2,
    }


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
        record.check_request(config)


def test_a_run_of_another_configuration_is_refused(started, monkeypatch):
    record.check_request(started)
    elsewhere = dataclasses.replace(started, data_dir="elsewhere", overwrite=True)
    record.check_request(elsewhere)
    other = dataclasses.replace(started, epochs=4)
    refuse(other, "an unfinished run with another")
    started.folder.result.touch()
    refuse(other, r"a finished run .*epochs=3 there, epochs=4 now")
    # Runs from before the flag were not deterministic.
    old = dict(started.resolved.requested)
    del old["deterministic"]
    write(started, old)
    record.check_request(started)
    other = dataclasses.replace(started, deterministic=True)
    refuse(other, "deterministic=False there")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    refuse(started, "KERAS_BACKEND='tensorflow' there, KERAS_BACKEND='jax")
    record.check_request(dataclasses.replace(started, overwrite=True))


@pytest.fixture
def images():
    return make_dataset((0, 1, 0, 1, 0, 1))


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
        (ONE_TEST_IMAGE, {}, "test images=3 there, test images=1 now"),
        ({}, {"weights_sha256": "a" * 64}, "weights cifar10='aaaaaaaaaaaa' there"),
        ({}, {"train_examples": 3}, "training images=5 there, training images=6 now"),
        ({}, {"image_shape": (64, 64, 3)}, "padding=1 there, padding=8 now"),
        ({}, {"image_shape": (65, 65, 3)}, "'pad_crop_flip' there, .*'random_resized"),
        ({}, {"augmentation": "flip"}, "augmentation='flip' there"),
    ],
)
def test_other_inputs_are_refused(started, images, changes, resolved, words):
    two_held_out = {"train_examples": 4, "validation_examples": 2, "test_examples": 3}
    resolved = two_held_out | {"image_shape": (4, 4, 3), "padding": 1} | resolved
    dataclasses.replace(
        CONFIG,
        requested=started.resolved.requested,
        resolved=dataclasses.replace(CONFIG.resolved, **resolved),
        data_fingerprint=images.fingerprint(),
    ).write(started.folder)
    now = dataclasses.replace(images, **changes)
    if words is None:
        assert record.finished_result(started, now) is None
        return
    with pytest.raises(errors.UsageError, match=rf"weights or augmentation: .*{words}"):
        record.finished_result(started, now)


def test_differences_name_both_values_and_descriptions_do_not_count():
    assert record.differences({"a": 1, "b": 2}, {"b": 2}) == ["a=1 there, a=None now"]
    there = {"statistics": {"mean": [0.1, 0.2, 0.3], "source": "ImageNet"}}
    now = {"statistics": {"mean": [0.1, 0.2, 0.3], "source": "a paper"}}
    assert record.differences(there, now) == []
    now["statistics"]["mean"] = [0.1, 0.2, 0.4]
    assert len(record.differences(there, now)) == 1


def test_large_images_are_augmented_otherwise_which_is_reported(tmp_path, images):
    config = runs.RunConfig(model="cifar_resnet8", results_dir=str(tmp_path))
    large = np.zeros([6, 72, 72, 3], np.uint8)
    images = dataclasses.replace(images, train_images=large, test_images=large[:3])
    notes = []
    prepared = finetuning.prepare(config, images, notes.append)
    resolved = prepared.record.resolved
    assert (resolved.augmentation, resolved.padding) == ("random_resized_crop_flip", 0)
    assert prepared.data.augmentation == resolved.augmentation
    assert any("--augmentation=random_res" in note for note in notes)
    assert any("takes all 6 training images in one step" in note for note in notes)
    assert prepared.record.requested["augmentation"] is None


def test_flags_that_are_gone_matter_only_where_they_were_used():
    then = {"seed": 1, "steps_per_execution": 1, "sync_batch_norm": False}
    now = {**UNRECORDED, "seed": 1}
    assert as_of_now(then) == now
    assert as_of_now(then | {"steps_per_execution": 8}) == now | {
        "steps_per_execution": 8
    }
