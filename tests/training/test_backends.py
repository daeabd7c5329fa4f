"""Every backend trains the same network to the same weights."""

import importlib.util

import numpy as np
import pytest

from tests.helpers import programs

PROGRAM = "from tests.helpers import backend_training; backend_training.main()"


def trained(backend, folder):
    path = folder / f"{backend}.npz"
    programs.run_code(PROGRAM, path, env={"KERAS_BACKEND": backend})
    with np.load(path) as file:
        found = dict(file)
    assert found.pop("backend") == backend
    return found


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return trained("tensorflow", tmp_path_factory.mktemp("tensorflow"))


@pytest.mark.parametrize(
    "backend", ["jax", pytest.param("torch", marks=pytest.mark.torch)]
)
def test_another_backend_trains_and_resumes_as_tensorflow_does(
    backend, expected, tmp_path
):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    found = trained(backend, tmp_path)
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_allclose(
            values, expected[name], rtol=1e-5, atol=2e-6, err_msg=name
        )
        if name.startswith("head"):
            np.testing.assert_array_equal(values, expected[name], err_msg=name)
        if name.startswith("whole"):
            resumed = found[name.replace("whole", "resumed")]
            np.testing.assert_array_equal(values, resumed, err_msg=name)
