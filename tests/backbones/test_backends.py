"""Models compute the same logits under every backend of Keras."""

import importlib.util

import numpy as np
import pytest

from tests.helpers import backend_logits, programs

# Other backends must not need TensorFlow. (None in `sys.modules` would not do: Keras
# looks there to see whether TensorFlow is imported.)
WITHOUT_TENSORFLOW = """
import importlib.machinery, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            return importlib.machinery.ModuleSpec(name, self)
    def create_module(self, spec):
        raise ModuleNotFoundError("no tensorflow here", name=spec.name)
    def exec_module(self, module):
        pass
sys.meta_path.insert(0, Missing())
"""
PROGRAM = "from tests.helpers import backend_logits; backend_logits.main()"


def logits(backend, folder):
    path = folder / f"{backend}.npz"
    program = PROGRAM if backend == "tensorflow" else WITHOUT_TENSORFLOW + PROGRAM
    programs.run_code(program, path, env={"KERAS_BACKEND": backend})
    with np.load(path) as file:
        found = dict(file)
    assert found.pop("backend") == backend
    return found


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return logits("tensorflow", tmp_path_factory.mktemp("tensorflow"))


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_compute_the_same_logits(backend, expected, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    found = logits(backend, tmp_path)
    assert found.keys() == expected.keys()
    for name, values in found.items():
        assert np.isfinite(values).all(), name
        error = abs(values - expected[name]).max(axis=1) / abs(expected[name]).max()
        ordinary = backend_logits.CONSTANT if name == "instance" else 0
        assert error[ordinary:].max() < 2e-5, name
        # In a constant channel, rounding errors are divided by the small epsilon.
        assert error.max() < 1e-2, name
