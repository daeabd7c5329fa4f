import importlib.util

import pytest

from tests.helpers import programs


@pytest.mark.parametrize("model", ["keras_resnet50", "cifar_resnet8", "resnet19"])
def test_networks_that_timm_lacks_are_refused(model):
    done = programs.run("benchmark", f"--model={model}")
    programs.assert_refused(done, "Allowed: resnet18, resnet34")


@pytest.mark.skipif(
    importlib.util.find_spec("torch") is not None, reason="PyTorch is installed"
)
def test_without_pytorch_it_says_what_to_install():
    done = programs.run("benchmark", "--model=resnet50")
    programs.assert_refused(done, "pip install torch timm torchvision")


@pytest.mark.torch
def test_both_sides_are_measured(tmp_path):
    done = programs.run(
        "benchmark",
        "--dataset=digits",
        "--train_examples=64",
        "--batch_size=32",
        "--rounds=1",
        "--workers=0",
        "--output=measured.json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "keras / pytorch: " in done.stdout
    assert (tmp_path / "measured.json").is_file()
