"""What a slot on a node says while it executes a run, without a cluster."""

import dataclasses
import os

import pytest

from normtest_tf import errors
from normtest_tf.runs import ResultRecord
from normtest_tf.sweeps import gathering, ray_connection, ray_slot
from tests.sweeps import helpers


@pytest.fixture
def setup(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # A slot changes the folder of its process.
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return ray_slot.Setup(
        code=ray_slot.code_version(),
        working_folder=str(tmp_path),
        environment={},
        has_gpus=False,
        token=None,
    )


def test_a_node_with_another_version_is_refused(setup, tmp_path):
    setup = dataclasses.replace(setup, code="0.0.1 (0123456789ab)")
    config, *_ = helpers.configurations(tmp_path / "results")
    (outcome,) = ray_slot.Slot(setup).run(config, None)
    assert isinstance(outcome, errors.UsageError)
    assert f"has normtest_tf {ray_slot.code_version()}, and the sweep 0.0.1 (01" in str(
        outcome
    )


def test_a_run_is_executed_elsewhere_and_told_in_the_users_words(setup, tmp_path):
    """First without its data, then with them."""
    config, *_ = helpers.tiny_runs(tmp_path, results_dir=str(tmp_path / "results"))
    missing = dataclasses.replace(config, dataset="folder:missing")
    slot = ray_slot.Slot(setup)
    (*_, outcome) = slot.run(missing, {})
    assert isinstance(outcome, errors.UsageError)
    assert "missing does not exist" in str(outcome)
    *messages, outcome = slot.run(config, {})
    slot.stop()  # Its process ends.
    assert isinstance(outcome, ResultRecord)
    assert not config.folder.path.exists()
    assert [m.text for m in messages if isinstance(m, ray_slot.Note)]
    for message in messages:
        if isinstance(message, gathering.Change):
            gathering.apply(config.folder, message)
    assert ResultRecord.read(config.folder) == outcome
    assert {path.name for path in config.folder.path.iterdir()} == {
        *("config.json", "history.csv", "model.keras", "result.json", "tensorboard")
    }


def test_a_slot_that_is_stopped_before_its_process_starts_ends_the_run(setup, tmp_path):
    config, *_ = helpers.tiny_runs(tmp_path, results_dir=str(tmp_path / "results"))
    slot = ray_slot.Slot(setup)
    slot.stop()
    (*_, outcome) = slot.run(config, {})
    assert isinstance(outcome, errors.WorkerDied | errors.Interrupted)


def test_variables_of_libraries_are_passed_on(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("KERAS_", "TF_", "XLA_", "JAX_", "OMP_")):
            monkeypatch.delenv(name)
    assert ray_slot.environment() == {"KERAS_BACKEND": "tensorflow"}
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    monkeypatch.setenv("SECRET", "1")
    passed = {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    assert ray_slot.environment() == passed


def test_the_cause_is_found_in_the_pages_that_ray_writes():
    error = RuntimeError(
        "The actor died because of an error raised in its creation task, ray::Slot\n"
        "  File a.py, line 3\n"
        "RuntimeError: The actor failed to import. This may be because:\n\n"
        "    ^^^^^^\n"
        "ModuleNotFoundError: No module named 'normtest_tf'"
    )
    found = "ModuleNotFoundError: No module named 'normtest_tf'"
    assert ray_connection.gist(error) == found
    assert ray_connection.gist(RuntimeError("no answer\nfrom there")) == "no answer"
    assert ray_connection.gist(RuntimeError()) == "RuntimeError()"
