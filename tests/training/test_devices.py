"""Which devices a run gets, and what is refused."""

import keras
import pytest

from normtest_tf import errors, runs
from normtest_tf.system import keras_setup
from normtest_tf.training import devices, regimes, training_copy
from tests.helpers import programs


def find(**changes):
    values = {
        "strategy": "data_parallel",
        "sync_batch_norm": False,
        "batch_size": 8,
        "precision": "float32",
        "notify": pytest.fail,
    } | changes
    return devices.find(values.pop("strategy"), **values)


@pytest.fixture
def three(monkeypatch):
    """Makes TensorFlow have three devices."""
    names = ("GPU:0", "GPU:1", "GPU:2")
    monkeypatch.setitem(devices.NAMES_OF, "tensorflow", lambda: names)


def test_without_a_strategy_there_is_one_device():
    found = find(strategy="none")
    assert found == devices.Devices()
    assert (found.count, found.with_own_statistics) == (1, None)


def test_a_strategy_on_one_device_changes_nothing_and_says_so():
    notes = []
    found = find(notify=notes.append)
    model = object()
    assert found.spread(lambda: model) is model
    assert found.with_own_statistics is None
    (note,) = notes
    assert "finds one device" in note


def test_batch_statistics_are_those_of_each_device_unless_synchronised(three):
    assert find(batch_size=9).with_own_statistics == 3
    assert find(batch_size=9, sync_batch_norm=True).with_own_statistics is None


@pytest.mark.parametrize("batch_size", [1, 2, 4, 8])
def test_a_batch_that_the_devices_cant_share_is_refused(batch_size, three):
    with pytest.raises(errors.UsageError, match=r"multiple of .* 3 here, .*: \d$"):
        find(batch_size=batch_size)


@pytest.mark.parametrize(
    ("backend", "variables", "precision", "words"),
    [
        ("torch", {}, "auto", "needs --backend=tensorflow or jax"),
        ("tensorflow", {"TF_CONFIG": "{}"}, "auto", "TF_CONFIG"),
        ("tensorflow", {}, "mixed_float16", "overflows on the first device alone"),
    ],
)
def test_what_is_known_to_break_is_refused(
    backend, variables, precision, words, monkeypatch
):
    monkeypatch.setattr(keras_setup, "backend", lambda: backend)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config = runs.RunConfig(strategy="data_parallel", precision=precision)
    with pytest.raises(errors.UsageError, match=words):
        config.check()


def test_a_program_refuses_what_breaks_in_one_line():
    done = programs.run(
        "train", "--strategy=data_parallel", "--dry_run", env={"TF_CONFIG": "{}"}
    )
    programs.assert_refused(done, "TF_CONFIG is set")


def test_there_must_be_something_to_synchronise():
    with pytest.raises(errors.UsageError, match="--sync_batch_norm needs --strategy"):
        runs.RunConfig(sync_batch_norm=True).check()


def normalised_features():
    inputs = keras.Input((1, 1, 4))
    return keras.Model(inputs, keras.layers.BatchNormalization()(inputs))


def check_shares(examples, batch_size):
    model = training_copy.make(normalised_features())
    regimes.check_batches(model, examples, batch_size)  # On one device.
    regimes.check_batches(model, examples, batch_size, shares=3)


@pytest.mark.parametrize("sizes", [(23, 18), (21, 18), (5, 6), (3, 3)])
def test_a_share_of_one_image_and_value_is_refused(sizes):
    with pytest.raises(errors.UsageError, match=r"device's share .* single image"):
        check_shares(*sizes)


@pytest.mark.parametrize("sizes", [(18, 18), (24, 18), (26, 18), (20, 18)])
def test_larger_shares_and_batches_that_all_compute_are_not(sizes):
    check_shares(*sizes)
