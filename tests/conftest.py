"""Shared set-up: quiet TensorFlow, CPU only, torch where it is installed."""

import importlib.util
import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def pytest_collection_modifyitems(items):
    """Skips comparisons with PyTorch where it is not installed."""
    missing = [
        name
        for name in ("torch", "timm", "torchvision")
        if importlib.util.find_spec(name) is None
    ]
    if not missing:
        return
    skip = pytest.mark.skip(reason=f"not installed: {', '.join(missing)}")
    for item in items:
        if item.get_closest_marker("torch"):
            item.add_marker(skip)
