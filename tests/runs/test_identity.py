"""Whether the run in a folder matches the request."""

import dataclasses
import hashlib
import json

import keras
import pytest

from normtest_tf import errors, runs
from normtest_tf.runs import identity
from tests.helpers.records import CONFIG, REQUESTED


def write(config, requested):
    dataclasses.replace(CONFIG, requested=requested).write(config.folder)


def check(config):
    identity.check_same_request(config.folder, config.resolved.requested)


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


def test_an_unreadable_configuration_is_refused(started):
    started.folder.config.write_text("[1]")
    with pytest.raises(errors.UsageError, match="JSON object"):
        check(started)


def test_runs_from_before_the_flag_were_not_deterministic(started):
    old = dict(started.resolved.requested)
    del old["deterministic"]
    write(started, old)
    check(started)
    with pytest.raises(errors.UsageError, match="deterministic=False there"):
        check(dataclasses.replace(started, deterministic=True))


def test_differences_name_both_values():
    assert identity.differences({"a": 1, "b": 2}, {"b": 2}) == ["a=1 there, a=None now"]
    assert identity.differences({"a": [1]}, {"a": [1]}) == []


def test_the_identity_of_a_checkpoint_is_that_of_0_1_0():
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
        "resolved data_seed": 1,
        "resolved model_seed": 2,
        "resolved train_examples": 50,
        "resolved test_examples": 10,
        "resolved validation_examples": 0,
        "resolved image_shape": [32, 32, 3],
        "resolved parameters": 123,
    }
