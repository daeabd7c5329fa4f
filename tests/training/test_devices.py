"""Which devices a run gets, and that two train as one does."""

import keras
import numpy as np
import pytest

from normtest_tf import errors, runs
from normtest_tf.runs import ConfigRecord
from normtest_tf.system import keras_setup
from normtest_tf.training import devices
from tests.helpers import programs, tiny_runs

PARALLEL = "data_parallel"


@pytest.fixture
def on_jax(monkeypatch):
    """Makes JAX the backend, with three devices."""
    names = ["gpu:0", "gpu:1", "gpu:2"]
    monkeypatch.setattr(keras_setup, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: names)
    return names


def test_without_a_strategy_there_is_one_device():
    found = devices.find("none", 8, pytest.fail)
    model = object()
    assert found.count == 1
    assert found.spread(lambda: model) is model


def test_a_strategy_on_one_device_says_that_nothing_changes(on_jax):
    del on_jax[1:]
    notes = []
    assert devices.find(PARALLEL, 7, notes.append).count == 1
    assert "finds one device, gpu:0" in notes[0]


@pytest.mark.parametrize("batch_size", [1, 2, 4, 8])
def test_a_batch_that_the_devices_cant_share_is_refused(batch_size, on_jax):
    assert devices.find(PARALLEL, 9, pytest.fail).count == 3
    with pytest.raises(errors.UsageError, match=r"multiple of .* 3 here, .*: \d$"):
        devices.find(PARALLEL, batch_size, pytest.fail)


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_other_backends_are_refused_in_one_line(backend, monkeypatch):
    monkeypatch.setattr(keras_setup, "backend", lambda: backend)
    config = runs.RunConfig(strategy=PARALLEL)
    with pytest.raises(errors.UsageError, match=r"needs --backend=jax.*") as refusal:
        config.check()
    assert str(refusal.value).endswith(f"Received: the backend {backend}")
    assert "\n" not in str(refusal.value)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of whole runs on one and on two devices, and what was printed."""
    pytest.importorskip("jax")
    folder = tmp_path_factory.mktemp("parallel")
    program = "from tests.helpers import parallel_training; parallel_training.main()"
    done = programs.run_code(program, folder, env={"KERAS_BACKEND": "jax"})
    return folder, done.stdout


def outcome_of(folder, name):
    config = runs.RunConfig(
        dataset="digits",
        model="cifar_resnet8",
        recalibrate=True,
        results_dir=str(folder / name),
    )
    return config.folder, tiny_runs.outcome(config)


def test_a_resumed_run_on_two_devices_ends_as_one_on_one(trained):
    folder, _ = trained
    one_folder, (one_rows, one_weights, one_chosen, _) = outcome_of(folder, "one")
    two_folder, (two_rows, two_weights, two_chosen, _) = outcome_of(folder, "two")
    assert one_chosen == two_chosen
    for one, two in zip(one_rows, two_rows, strict=True):
        assert two == pytest.approx(one, rel=1e-5)
    for one, two in zip(one_weights, two_weights, strict=True):
        one, two = np.frombuffer(one, "float32"), np.frombuffer(two, "float32")
        np.testing.assert_allclose(two, one, 1e-4, 1e-5)
    environments = [ConfigRecord.read(f).environment for f in (one_folder, two_folder)]
    assert [found["devices"] for found in environments] == [1, 2]
    logits = keras.models.load_model(two_folder.model)(np.zeros((1, 32, 32, 3)))
    assert np.isfinite(keras.ops.convert_to_numpy(logits)).all()


def test_each_device_computes_its_share_alone(trained):
    # Batches of 32, and a last one of five, which JAX can't divide.
    sizes = {line for line in trained[1].splitlines() if line.startswith("images on")}
    assert sizes == {"images on a device: 16", "images on a device: 5"}
