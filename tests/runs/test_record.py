"""A run's records: read as they were written, or refused in one line."""

import copy
import dataclasses
import json

import pytest

from normtest_tf import errors
from normtest_tf.runs import RULES, ConfigRecord, FailureRecord, ResultRecord, RunFolder
from normtest_tf.runs.folder import UNRECORDED
from tests.helpers.records import CONFIG, CONFIG_JSON, RESOLVED, RESULT, VALIDATED


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [{}, {"jit_compile": True}, {"statistics": None, "weights_sha256": "0a"}],
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
