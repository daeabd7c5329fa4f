"""The device, precision and determinism of a run."""

import json
import types

import keras
import pytest

from normtest_tf import errors
from normtest_tf.training import environment
from tests.helpers import programs

DETERMINISTIC = """
from normtest_tf import errors
from normtest_tf.runs import RunConfig, finetuning
from tensorflow.python.framework import config as tf_config

values = {"dataset": "digits", "model": "cifar_resnet8"}
finetuning.prepare(RunConfig(deterministic=True, **values))
assert tf_config.is_op_determinism_enabled()
try:
    finetuning.prepare(RunConfig(**values))
except errors.UsageError as error:
    print(error)
"""


def test_deterministic_operations_stay_for_the_process():
    done = programs.run_code(DETERMINISTIC)
    assert "start another process for runs without it" in done.stdout


def test_a_slow_backend_is_noted_and_one_that_cannot_train_refused(monkeypatch):
    for backend, count in {"tensorflow": 0, "jax": 0, "torch": 1}.items():
        notes = []
        monkeypatch.setattr(keras.backend, "backend", lambda backend=backend: backend)
        environment.check_backend(notes.append)
        assert len(notes) == count
    with pytest.raises(errors.UsageError, match="Received: the backend torch"):
        environment.set_determinism(True)
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(errors.UsageError, match="KERAS_BACKEND=numpy can't train"):
        environment.check_backend(print)


@pytest.mark.parametrize(
    ("capability", "precision"),
    [
        ("9.0", "mixed_bfloat16"),
        ("8.0", "mixed_bfloat16"),
        ("7.5", "mixed_float16"),
        ("6.1", "float32"),
        ("gfx942", "float32"),  # AMD's.
        (None, "float32"),
    ],
)
def test_the_precision_of_jax_follows_its_gpu(capability, precision, monkeypatch):
    jax = pytest.importorskip("jax")
    found = [types.SimpleNamespace(platform="cpu", device_kind="cpu")]
    if capability:
        gpu = {"device_kind": "NVIDIA H100", "compute_capability": capability}
        found = [types.SimpleNamespace(platform="gpu", **gpu)]
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(jax, "local_devices", lambda: found)
    assert environment.resolve_precision("auto") == precision
    assert environment.resolve_precision("mixed_float16") == "mixed_float16"
    described = environment.describe()
    assert described["gpus"] == (["NVIDIA H100"] if capability else [])
    assert described["jax"] == jax.__version__


def test_the_description_is_ready_for_json_and_names_versions():
    described = environment.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["keras"] == keras.__version__
    assert (described["backend"], described["floatx"]) == ("tensorflow", "float32")
