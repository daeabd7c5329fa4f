"""Which devices a run gets, and that two train as one does."""

import keras
import numpy as np
import pytest

from normtest_tf import errors, runs
from normtest_tf.runs import ConfigRecord
from normtest_tf.training import devices
from tests.helpers import programs, tiny_runs

PARALLEL = "data_parallel"


def test_without_a_strategy_there_is_one_device():
    model = object()
    assert devices.find("none", 8, pytest.fail).spread(lambda: model) is model


def test_a_strategy_needs_several_devices_that_can_share_a_batch(monkeypatch):
    names = ["gpu:0", "gpu:1", "gpu:2"]
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: names)
    assert devices.find(PARALLEL, 9, pytest.fail).names == tuple(names)
    with pytest.raises(errors.UsageError, match=r"multiple of .* 3 here, .*: 8$"):
        devices.find(PARALLEL, 8, pytest.fail)
    del names[1:]
    notes = []
    devices.find(PARALLEL, 7, notes.append)
    assert "finds one device, gpu:0" in notes[0]


def test_other_backends_are_refused():
    with pytest.raises(errors.UsageError, match=r"needs --backend=jax.* tensorflow$"):
        runs.RunConfig(strategy=PARALLEL).check()


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
        found.append(tiny_runs.outcome(config))
    rows, weights, (one, two), _ = zip(*found, strict=True)
    assert one == two
    for one, two in zip(*rows, strict=True):
        assert two == pytest.approx(one, rel=1e-5)
    for one, two in zip(*weights, strict=True):
        one, two = np.frombuffer(one, "float32"), np.frombuffer(two, "float32")
        np.testing.assert_allclose(two, one, 1e-4, 1e-5)


def test_each_device_computes_its_share_alone(trained):
    # Batches of 32, and a last one of five, which JAX can't divide.
    sizes = {line for line in trained[1].splitlines() if line.startswith("images on")}
    assert sizes == {"images on a device: 16", "images on a device: 5"}
