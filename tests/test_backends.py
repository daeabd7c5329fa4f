"""Whole runs on Keras's other backends: equal to TensorFlow's, and as hard to break."""

import importlib.util
import json
import signal

import numpy as np
import pytest

from normtest_tf import errors
from normtest_tf.runs import finetuning, history
from tests.helpers import backend_runs, programs
from tests.helpers.tiny_runs import new_config

PROGRAM = "from tests.helpers import backend_runs; backend_runs.main()"
CLOCKS = ("seconds", "images_per_second")


@pytest.fixture(
    scope="module", params=["jax", pytest.param("torch", marks=pytest.mark.torch)]
)
def backend(request):
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture(scope="module")
def folder(backend, tmp_path_factory):
    return tmp_path_factory.mktemp(backend)


@pytest.fixture(scope="module")
def found(backend, folder, expected_run):
    # Most of the runs have the same programs.
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    programs.run_code(
        PROGRAM, folder, expected_run.path, env={"KERAS_BACKEND": backend} | cache
    )
    found = json.loads((folder / "found.json").read_text())
    assert found["backend"] == backend
    return found


@pytest.fixture(scope="module")
def expected_run(tmp_path_factory):
    return backend_runs.twenty_steps(tmp_path_factory.mktemp("tensorflow"))


def test_twenty_steps_from_the_same_weights_are_tensorflows(found, expected_run):
    expected = history.read(expected_run.history)
    for mine, theirs in zip(found["twenty_steps"], expected, strict=True):
        assert mine.keys() == theirs.keys()
        for name in theirs.keys() - set(CLOCKS):
            # An image on the border between two classes may be 1 of 96.
            allowed = 0.011 if name.endswith("accuracy") else 2e-5 * abs(theirs[name])
            assert mine[name] == pytest.approx(theirs[name], abs=allowed), name


def test_the_batches_are_the_same_bit_for_bit(found):
    assert found["batches"] == backend_runs.batches()


def test_killed_and_stopped_runs_end_like_an_uninterrupted_one(found):
    assert found["status"] == -signal.SIGKILL
    assert found["killed"] == [2, True]
    assert found["stopped"] == [2, True]


def test_a_loss_that_is_not_finite_is_told_with_its_step(found):
    assert "train_loss is not finite" in found["exploded"]
    assert "step 2 of epoch 3" in found["exploded"]


def test_the_peak_of_the_memory_is_recorded(found):
    assert found["memory"] > 100


def test_mixed_precision_trains_nearly_as_float32(found):
    losses = {name: loss for name, (loss, _) in found["precisions"].items()}
    dtypes = [dtype for _, dtype in found["precisions"].values()]
    assert dtypes == ["float32", "bfloat16", "float16"]
    for loss in losses.values():
        assert loss == pytest.approx(losses["float32"], rel=0.02)
    assert len(set(losses.values())) == 3


@pytest.fixture(scope="module")
def expected(expected_run):
    return backend_runs.uses(expected_run.path)


def test_a_model_predicts_tensorflows_probabilities(found, expected):
    mine, theirs = (np.array(one["probabilities"]) for one in (found, expected))
    np.testing.assert_allclose(mine, theirs, atol=2e-6)
    np.testing.assert_allclose(mine.sum(axis=1), 1)


def leaves(value, path=""):
    """Yields the values in nested lists and dictionaries, with their places."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from leaves(inner, f"{path}/{key}")
    else:
        yield path, value


def test_a_diagnosis_is_tensorflows(found, expected):
    mine, theirs = (dict(leaves(one["explanation"])) for one in (found, expected))
    assert mine.keys() == theirs.keys()
    assert len(mine) > 100
    for place, value in theirs.items():
        if isinstance(value, float):
            assert mine[place] == pytest.approx(value, rel=1e-3, abs=1e-5), place
        else:
            assert mine[place] == value, place


def test_a_format_of_tensorflows_is_written_and_verified(found):
    relative, disagreements, size = found["exported"]
    assert 0 < relative < 1e-5
    assert disagreements == 0
    assert size > 100_000


def test_a_run_of_another_backend_is_not_resumed(found, backend, folder, tiny, digits):
    config = new_config(folder / backend_runs.UNFINISHED)
    before = sorted(config.folder.path.rglob("*"))
    with pytest.raises(errors.UsageError, match=f"KERAS_BACKEND={backend} there"):
        finetuning.run(config, digits)
    assert sorted(config.folder.path.rglob("*")) == before
