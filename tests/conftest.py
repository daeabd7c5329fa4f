"""Shared set-up: TensorFlow on the CPU without its log; PyTorch tests if installed.

Fixtures import our modules late, once the environment is set.
"""

import importlib.util
import os
import signal

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# A shell's jobs in the background ignore Ctrl-C, and so would the programs under test.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Skips comparisons with PyTorch if it is not installed."""
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


@pytest.fixture(scope="session")
def digits():
    """A few handwritten digits."""
    from normtest_tf import datasets

    return datasets.load("digits").take(70, 20)


@pytest.fixture
def tiny(monkeypatch):
    """Makes every run fine-tune a tiny network, regardless of its configuration."""
    from normtest_tf.training import classifier
    from tests.helpers import tiny_runs

    monkeypatch.setattr(classifier, "build_classifier", tiny_runs.tiny_classifier)


@pytest.fixture
def config(tmp_path, tiny):
    """The configuration of a run of the tiny network."""
    from tests.helpers import tiny_runs

    return tiny_runs.new_config(tmp_path)


@pytest.fixture(scope="session")
def expected(tmp_path_factory, digits):
    """The outcome of that run without interruptions."""
    from normtest_tf.runs import finetuning
    from normtest_tf.training import classifier
    from tests.helpers import tiny_runs

    config = tiny_runs.new_config(tmp_path_factory.mktemp("uninterrupted"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "build_classifier", tiny_runs.tiny_classifier)
        finetuning.run(config, digits)
    return tiny_runs.outcome(config)


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Results of a study in which finetune is better by a point."""
    from normtest_tf.analysis import results
    from tests.helpers import fake_results

    folder = tmp_path_factory.mktemp("study")
    fake_results.write_study(folder, fake_results.CELLS, effect=0.01, spread=0.001)
    return results.read(folder)
