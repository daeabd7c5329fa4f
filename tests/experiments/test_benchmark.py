import importlib.util
import json

import pytest

from tests.helpers import programs


@pytest.mark.skipif(
    importlib.util.find_spec("torch") is not None, reason="PyTorch is installed"
)
def test_without_pytorch_the_error_says_what_to_install():
    done = programs.run("benchmark", "--models=resnet50")
    programs.assert_refused(done, "pip install torch timm torchvision")


@pytest.mark.torch
def test_all_sides_are_measured(tmp_path):
    (tmp_path / "page.md").write_text(
        "# Page\n\n<!-- benchmark: begin -->\n<!-- benchmark: end -->\n"
    )
    done = programs.run(
        "benchmark",
        "--dataset=digits",
        "--opponents=eager,tuned",
        "--backends=tensorflow,jax,torch",
        "--train_examples=64",
        "--batch_size=32",
        "--rounds=1",
        "--workers=0",
        "--output=measured.json",
        "--page=page.md",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "ours, float32 on jax / PyTorch, tuned: training" in done.stdout
    assert "ours, float32 on torch / ours, float32: training" in done.stdout
    measured = json.loads((tmp_path / "measured.json").read_text())["resnet18"]
    assert len(measured["measurements"]) == 5
    assert len(measured["tried"]) == 4
    assert "| `resnet18` |" in (tmp_path / "page.md").read_text()
