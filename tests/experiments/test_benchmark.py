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
def test_without_pytorch_the_error_says_what_to_install():
    done = programs.run("benchmark", "--model=resnet50")
    programs.assert_refused(done, "pip install torch timm torchvision")


REPORT = """
from experiments import benchmark
from experiments.support.speed import Measurement

print(
    benchmark.report(
        {
            "keras": [Measurement(rate, None) for rate in (100.0, 300.0, 200.0)],
            "pytorch": [Measurement(100.0, peak) for peak in (512.0, None, 1024.0)],
        }
    )
)
"""


def test_a_report_has_medians_and_the_peaks_that_are_known():
    head, keras, pytorch, ratio = programs.run_code(REPORT).stdout.splitlines()
    assert head.split("  ")[-1] == "peak memory"
    assert keras.split() == ["keras", "200", "100", "to", "300", "unknown"]
    assert pytorch.split() == ["pytorch", "100", "100", "to", "100", "1,024", "MiB"]
    assert ratio == "keras / pytorch: 2.00"


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
