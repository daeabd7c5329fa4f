"""Whole runs on Keras's other backends: equal to TensorFlow's, and as hard to break."""

import importlib.util
import json

import pytest

from tests.helpers import backend_runs, programs

PROGRAM = "from tests.helpers import backend_runs; backend_runs.main()"
TOLERANCES = {  # Relative and absolute.
    "history": (2e-5, 0),
    "losses": (1e-5, 2e-6),
    "weights": (1e-5, 2e-6),
    "head": (0, 0),
    "explanation": (1e-3, 1e-5),
    "probabilities": (0, 2e-6),
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    run = backend_runs.twenty_steps(tmp_path_factory.mktemp("tensorflow"))
    return run, backend_runs.compared(run, run)


def leaves(value, path=""):
    """Yields the values in nested lists and dictionaries, with their places."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from leaves(inner, f"{path}/{key}")
    else:
        yield path, value


def assert_close(found, expected, relative, absolute):
    mine, theirs = dict(leaves(found)), dict(leaves(expected))
    assert mine.keys() == theirs.keys()
    for place, value in theirs.items():
        # An image on the border between two classes may be 1 of 96.
        allowed = 0.011 if place.endswith("accuracy") else absolute
        if isinstance(value, float):
            assert mine[place] == pytest.approx(value, rel=relative, abs=allowed), place
        else:
            assert mine[place] == value, place


@pytest.mark.parametrize(
    "backend", ["jax", pytest.param("torch", marks=pytest.mark.torch)]
)
def test_another_backend_trains_resumes_and_predicts_as_tensorflow_does(
    backend, expected, tmp_path
):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    run, values = expected
    programs.run_code(PROGRAM, tmp_path, run.path, env={"KERAS_BACKEND": backend})
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["backend"] == backend
    assert found["compared"].keys() == TOLERANCES.keys()
    for name, tolerances in TOLERANCES.items():
        assert_close(found["compared"][name], values[name], *tolerances)
    assert "train_loss is not finite" in found["exploded"]
    assert "step 2 of epoch 1" in found["exploded"]
    relative, disagreements, size = found["exported"]
    assert 0 < relative < 1e-5
    assert disagreements == 0
    assert size > 100_000
    *resumed, loss = found["resumed"]
    assert resumed == [2, True, True]
    losses, dtypes = zip(*found["precisions"].values(), strict=True)
    assert dtypes == ("bfloat16", "float16")
    assert losses == pytest.approx((loss, loss), rel=0.02)
    assert len({loss, *losses}) == 3
