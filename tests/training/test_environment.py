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

values = dict(
    dataset="digits", model="cifar_resnet8", train_examples=40, test_examples=10,
    epochs=1,
)
finetuning.run(RunConfig(deterministic=True, **values))
assert tf_config.is_op_determinism_enabled()
try:
    finetuning.run(RunConfig(seed=1, **values))
except errors.UsageError as error:
    print(error)
"""


def test_deterministic_operations_are_recorded_and_stay_for_the_process(tmp_path):
    done = programs.run_code(DETERMINISTIC, cwd=tmp_path)
    assert "start another process for runs without it" in done.stdout
    (path,) = tmp_path.rglob("config.json")
    assert json.loads(path.read_text())["requested"]["deterministic"] is True


def test_determinism_needs_the_tensorflow_backend(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(errors.UsageError, match="Received: the backend jax"):
        environment.set_determinism(True)


@pytest.mark.parametrize(
    ("backend", "count"), [("tensorflow", 0), ("jax", 0), ("torch", 1)]
)
def test_a_slow_backend_is_noted(backend, count, monkeypatch):
    notes = []
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    environment.check_backend(notes.append)
    assert len(notes) == count


def test_a_backend_that_cannot_train_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(errors.UsageError, match="KERAS_BACKEND=numpy can't train"):
        environment.check_backend(print)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_a_requested_precision_is_used(precision):
    assert environment.resolve_precision(precision) == precision


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
    described = environment.describe()
    assert described["gpus"] == (["NVIDIA H100"] if capability else [])
    assert described["jax"] == jax.__version__
    assert environment.has_gpu() == bool(capability)


def test_the_description_is_ready_for_json_and_names_versions():
    described = environment.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["keras"] == keras.__version__
    assert described["backend"] == "tensorflow"
    assert described["floatx"] == "float32"
    assert described["image_data_format"] == "channels_last"
    assert described["cpu"]
