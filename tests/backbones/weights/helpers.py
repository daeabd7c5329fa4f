"""Small networks with weights, and checks for a refused file."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from normtest_tf import backbones, errors
from normtest_tf.backbones import weights


def small(include_top=True, classes=10, **options):
    return backbones.CifarResNet8(
        include_top=include_top, weights=None, classes=classes, **options
    )


def randomise(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 1, w.shape) for w in model.get_weights()])
    return model


def same_weights(one, other):
    return all(
        np.array_equal(a, b)
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True)
    )


def load(model, path):
    """Loads a weights file and returns the notes."""
    notes = []
    weights.load_file(model, path, notes.append)
    return notes


def rewrite(path, change):
    """Applies `change` to the tensors in a file."""
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def refused(path, *words, model=None):
    model = model or small()
    before = model.get_weights()
    with pytest.raises(errors.UsageError) as caught:
        load(model, path)
    for word in (str(path), *words):
        assert word in str(caught.value)
    after = model.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
