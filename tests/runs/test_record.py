"""A run's records: read as they were written, also by 0.1.0."""

import copy
import dataclasses
import json

import pytest

from normtest_tf import errors
from normtest_tf.runs import (
    RULES,
    ConfigRecord,
    FailureRecord,
    ResultRecord,
    RunFolder,
)
from normtest_tf.runs.folder import FORMAT
from tests.helpers.records import (
    CONFIG,
    ENVIRONMENT,
    REQUESTED,
    RESOLVED,
    RESULT,
    VALIDATED,
)

# As version 0.1.0 wrote it.
FORMER_RESULT = {
    "format": 1,
    "best_epoch": 2,
    "best_test_accuracy": 0.8,
    "final_epoch": 3,
    "final_test_accuracy": 0.7,
    "final_train_accuracy": 1.0,
    "selected_epoch": 1,
    "selected_validation_accuracy": 0.9,
    "selected_test_accuracy": 0.6,
    "kept_epoch": 3,
    "train_seconds": 1.5,
    "total_seconds": 2.0,
    "peak_memory_mib": None,
    "resumed_epochs": [1, 2],
}
FORMER_NAMES = {
    "selected_epoch": "best_validation_epoch",
    "selected_validation_accuracy": "best_validation_accuracy",
    "selected_test_accuracy": "best_validation_test_accuracy",
}


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path)


@pytest.mark.parametrize(
    "resolved",
    [
        RESOLVED,
        dataclasses.replace(RESOLVED, jit_compile=True),
        dataclasses.replace(RESOLVED, statistics=None, weights_sha256="0a"),
    ],
)
def test_a_configuration_is_read_as_it_was_written(run, resolved):
    written = dataclasses.replace(CONFIG, resolved=resolved)
    written.write(run)
    assert ConfigRecord.read(run) == written


@pytest.mark.parametrize("name", ["train_examples", "test_examples", "parameters"])
def test_negative_numbers_of_things_are_refused(run, name):
    resolved = dataclasses.replace(RESOLVED, **{name: -3})
    dataclasses.replace(CONFIG, resolved=resolved).write(run)
    with pytest.raises(errors.UsageError, match=f"{name}=-3, which is negative"):
        ConfigRecord.read(run)


def test_config_json_has_the_layout_of_0_1_0_and_the_augmentation():
    assert json.loads(json.dumps(CONFIG.to_json())) == {
        "format": 1,
        "requested": REQUESTED,
        "resolved": {
            "weights": "cifar10",
            "weights_sha256": None,
            "pretraining": RESOLVED.pretraining,
            "statistics": {
                "mean": [0.1, 0.2, 0.3],
                "std": [0.4, 0.5, 0.6],
                "definition": "pooled",
                "source": "a test",
            },
            "precision": "float32",
            "augmentation": "pad_crop_flip",
            "padding": 4,
            "data_seed": 1,
            "model_seed": 2,
            "train_examples": 50,
            "test_examples": 10,
            "validation_examples": 0,
            "image_shape": [32, 32, 3],
            "class_names": ["a", "b"],
            "parameters": 123,
        },
        "data_fingerprint": "abc",
        "environment": ENVIRONMENT,
    }


def test_the_augmentation_was_not_always_recorded(run):
    values = copy.deepcopy(CONFIG.to_json())
    del values["resolved"]["augmentation"], values["resolved"]["padding"]
    run.config.write_text(json.dumps(values))
    assert ConfigRecord.read(run) == CONFIG


def test_the_earliest_configurations_were_not_deterministic(run):
    values = copy.deepcopy(CONFIG.to_json())
    del values["requested"]["deterministic"]
    run.config.write_text(json.dumps(values))
    assert ConfigRecord.read(run) == CONFIG


@pytest.mark.parametrize("result", [RESULT, VALIDATED])
def test_a_result_is_read_as_it_was_written(run, result):
    result.write(run)
    assert ResultRecord.read(run) == result
    keys = json.loads(run.result.read_text()).keys()
    assert ("best_validation_epoch" in keys) == (result is VALIDATED)


def test_a_result_of_0_1_0_is_read(run):
    run.result.write_text(json.dumps(FORMER_RESULT))
    assert ResultRecord.read(run) == VALIDATED


def test_each_rule_has_its_test_accuracy():
    found = {name: VALIDATED.test_accuracy(rule) for name, rule in RULES.items()}
    assert found == {"final": 0.7, "best_test": 0.8, "best_validation": 0.6}
    assert RESULT.test_accuracy(RULES["best_validation"]) is None


def test_a_description_has_a_line_for_each_rule():
    assert RESULT.describe().splitlines() == [
        "test accuracy  70.00% after the final epoch (3)",
        "               80.00% at best (epoch 2, chosen on the test images, as in the "
        "PyTorch study)",
    ]
    assert "60.00% in epoch 1, chosen on the validation" in VALIDATED.describe()


def places(values, path=()):
    """Returns the path of every value that a record has to hold."""
    found = []
    for name, value in values.items():
        if name == "deterministic":
            continue  # It was added later, and nothing relies on it.
        found.append((*path, name))
        if name in ("requested", "resolved", "statistics", "environment"):
            found += places(value, (*path, name))
    return found


def parent(values, place):
    """Returns the object that directly holds a value."""
    for name in place[:-1]:
        values = values[name]
    return values


def wrong(value):
    """Returns values of another type than one read from JSON."""
    if isinstance(value, dict):
        return [7, []]
    if isinstance(value, list):
        return [7, "ab", {}]
    return [{}, [True]]


# They may be missing: they were added later, or are not always known.
OPTIONAL = {
    *("format", "peak_memory_mib", "resumed_epochs", "selected_epoch"),
    *("augmentation", "padding"),
    *("shift", "examples_per_class", "warmup_epochs"),
    *("optimizer", "train", "recalibrate", "strategy"),
}


@pytest.mark.parametrize("place", places(CONFIG.to_json()), ids="/".join)
def test_a_configuration_that_was_edited_is_refused_in_one_line(run, place):
    name, values = place[-1], CONFIG.to_json()
    for value in wrong(parent(values, place)[name]):
        edited = copy.deepcopy(values)
        parent(edited, place)[name] = value
        assert_refused(ConfigRecord, run.config, edited, run, name)
    if name not in OPTIONAL:
        edited = copy.deepcopy(values)
        del parent(edited, place)[name]
        assert_refused(ConfigRecord, run.config, edited, run, name)


@pytest.mark.parametrize("name", FORMER_RESULT)
def test_a_result_that_was_edited_is_refused_in_one_line(run, name):
    now = FORMER_NAMES.get(name, name)
    values = wrong(FORMER_RESULT[name])
    if name != "format":
        values.append(True)  # To Python, it equals 1.
    if name.endswith("accuracy"):
        values += [1.5, -0.1]
    for value in values:
        edited = FORMER_RESULT | {name: value}
        assert_refused(ResultRecord, run.result, edited, run, now)
    if name not in OPTIONAL:
        edited = {k: v for k, v in FORMER_RESULT.items() if k != name}
        assert_refused(ResultRecord, run.result, edited, run, now)


def assert_refused(record, path, values, run, name):
    path.write_text(json.dumps(values))
    with pytest.raises(errors.UsageError, match=name) as caught:
        record.read(run)
    assert str(caught.value).startswith(str(path))
    assert "--overwrite" in str(caught.value)
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


@pytest.mark.parametrize("record", [ConfigRecord, ResultRecord, FailureRecord])
def test_another_format_is_refused(run, record):
    for path in (run.config, run.result, run.failure):
        path.write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(errors.UsageError, match="written by format 2 of a run's"):
        record.read(run)


@pytest.mark.parametrize("record", [ConfigRecord, ResultRecord])
@pytest.mark.parametrize("text", ["[1]", "{", ""])
def test_files_without_an_object_are_refused(run, record, text):
    for path in (run.config, run.result):
        path.write_text(text)
    with pytest.raises(errors.UsageError, match=r"\.json"):
        record.read(run)
