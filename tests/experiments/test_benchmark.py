import importlib.util
import json
import re

import pytest

from experiments.support.speed import study
from experiments.support.speed.ours import Way
from experiments.support.speed.work import Work
from normtest_tf import datasets
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


@pytest.mark.torch
def test_a_list_of_runs_is_measured_on_both_sides(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "RUNS", 1)
    monkeypatch.setattr(study, "EPOCHS", 1)
    monkeypatch.setattr(
        study, "in_new_process", lambda function, *args: function(*args)
    )
    dataset = datasets.load("digits").take(64, 32)
    work = Work(tmp_path, "resnet18", classes=10, batch_size=32)
    work.write(dataset.train_images, dataset.train_labels)
    way = Way("tensorflow", "float32")
    line = study.compare(dataset, work, "head", way, workers=0, rounds=2)
    sides = r"ours, float32 [\d.]+ [\d.]+ s, PyTorch, eager [\d.]+ [\d.]+ s"
    assert re.fullmatch(rf"resnet18, head, 1 runs: {sides}; ratio [\d.]+", line)
