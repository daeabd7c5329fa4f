"""The devices of a run, its precision and determinism."""

import shutil
import types

import keras
import numpy as np
import pytest

from normtest_tf import errors
from normtest_tf.runs import ConfigRecord
from normtest_tf.training import environment
from tests.helpers import programs, tiny_runs

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


def test_a_slow_backend_is_noted(monkeypatch):
    for backend, count in {"tensorflow": 0, "jax": 0, "torch": 1}.items():
        notes = []
        monkeypatch.setattr(keras.backend, "backend", lambda backend=backend: backend)
        environment.check_backend(notes.append)
        assert len(notes) == count


def test_a_gpu_that_nothing_sees_is_noted_unless_it_is_hidden(monkeypatch):
    def notes(visible, seen):
        found = []
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        monkeypatch.setattr(environment, "gpus", lambda: seen)
        environment.check_backend(found.append)
        return found

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert "NVIDIA GPU, which tensorflow can't see" in notes("0", [])[0]
    assert notes("", []) == notes("-1", []) == notes("0", [("H200", (9, 0))]) == []
    line = "device: H200; tensorflow, float32"
    assert environment.device_line("float32", 1) == line


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
        found = 2 * [types.SimpleNamespace(platform="gpu", **gpu)]
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(jax, "local_devices", lambda: found)
    assert environment.resolve_precision("auto") == precision
    assert environment.resolve_precision("mixed_float16") == "mixed_float16"
    described = environment.describe()
    assert described["gpus"] == (["NVIDIA H100"] if capability else [])  # One's.
    assert environment.describe(2)["gpus"] == 2 * described["gpus"]
    assert described["jax"] == jax.__version__


PARALLEL = "data_parallel"


def test_a_strategy_needs_several_devices_that_can_share_a_batch(monkeypatch):
    names = ["gpu:0", "gpu:1", "gpu:2"]
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: names)
    assert environment.find_devices(PARALLEL, 9, pytest.fail) == tuple(names)
    with pytest.raises(errors.UsageError, match=r"multiple of .* 3 here, .*: 8$"):
        environment.find_devices(PARALLEL, 8, pytest.fail)
    del names[1:]
    notes = []
    environment.find_devices(PARALLEL, 7, notes.append)
    assert "finds one device, gpu:0" in notes[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of whole runs on one and on two devices, and what was printed."""
    pytest.importorskip("jax")
    folder = tmp_path_factory.mktemp("parallel")
    program = "from tests.helpers import parallel_training; parallel_training.main()"
    done = programs.run_code(program, folder, env={"KERAS_BACKEND": "jax"})
    return folder, done.stdout


def test_a_resumed_run_on_two_devices_ends_as_one_on_one(trained):
    folder, _ = trained
    found = []
    for name, count in {"one": 1, "two": 2}.items():
        config = tiny_runs.new_config(folder / name, epochs=2, recalibrate=True)
        assert ConfigRecord.read(config.folder).environment["devices"] == count
        rows, chosen, _ = tiny_runs.outcome(config)
        model = keras.models.load_model(config.folder.model)
        found.append((rows, model.get_weights(), chosen))
    rows, weights, (one, two) = zip(*found, strict=True)
    assert one == two
    for one, two in zip(*rows, strict=True):
        assert two == pytest.approx(one, rel=1e-5)
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(two, one, 1e-4, 1e-5)


def test_each_device_computes_its_share_alone(trained):
    # Batches of 32, and a last one of five, which JAX can't divide.
    sizes = {line for line in trained[1].splitlines() if line.startswith("images on")}
    assert sizes == {"images on a device: 16", "images on a device: 5"}
