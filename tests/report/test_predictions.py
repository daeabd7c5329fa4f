"""Predictions read from diagnoses, and their place in a report."""

import json
import types

import pytest

from normtest_tf import errors
from normtest_tf.analysis import results
from normtest_tf.report import document, predictions
from normtest_tf.runs import RunName
from normtest_tf.runs.history import FINAL
from tests.helpers import ROOT
from tests.helpers.fake_results import write_run


def predicted(training, points, take=None):
    return {
        "training": training,
        "mode": "stored",
        "displacement": abs(points) / 10,
        "points": points,
        "margin": 1.0,
        "take": take,
    }


def rewrite(path, **values):
    """Changes values in a diagnosis."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def gather(found, explanations=None):
    return document.gather(found, rule=FINAL, margin=0.5, explanations=explanations)


@pytest.fixture
def explanations(tmp_path):
    folder = tmp_path / "explanations" / "cifar10+contrast_0.2" / "resnet18"
    folder.mkdir(parents=True)
    found = {
        "data": "cifar10",
        "model": "resnet18 (file)",
        "treatment": "finetune",
        "predictions": [predicted("all", 0), predicted("head", 9, "finetune")],
    }
    (folder / "explanation.json").write_text(json.dumps(found))
    return tmp_path / "explanations"


@pytest.fixture
def gathered(tmp_path, explanations):
    folder = tmp_path / "results"
    for model, train, gain in (
        ("resnet18", "all", 0.02),
        ("resnet18+head", "head", 0.095),
    ):
        for seed in (1, 2):
            for setting, final in (("pretrain", 0.5), ("finetune", 0.5 + gain)):
                write_run(
                    folder,
                    "cifar10+contrast_0.2",
                    model,
                    setting,
                    seed,
                    final,
                    shift="contrast:0.2",
                    train=train,
                )
    return gather(results.read(folder), explanations)


def test_each_cell_meets_the_prediction_for_its_way_of_training(gathered):
    head, all_layers = sorted(gathered.outcomes, key=lambda o: o.training, reverse=True)
    assert (head.points, head.take, head.is_hit) == (9, "finetune", True)
    assert head.effect.mean == pytest.approx(9.5)
    assert (all_layers.points, all_layers.is_hit) == (0, False)


def test_the_report_lists_hits_and_misses(gathered):
    text = document.to_markdown(gathered, "a command")
    assert "## What the diagnosis predicted" in text
    assert "| +9.00 ± 1.00 | +9.50 ± 0.00 | 2 | within |" in text
    assert "| +0.00 ± 1.00 | +2.00 ± 0.00 | 2 | **missed** |" in text
    # Following: 0 and 2 points lost; always pretrain: 9.5 and 2; finetune: none.
    assert "| all of these | 2 | 1 | 1.25 | - | 1.00 | 5.75 | 0.00 |" in text


def test_without_diagnoses_there_is_no_section(gathered, tmp_path):
    found = gather(gathered.results)
    assert found.outcomes == []
    assert "diagnosis" not in document.to_markdown(found, "a command")


def test_predictions_of_another_setting_are_refused(explanations, gathered):
    (path,) = explanations.glob("*/*/explanation.json")
    rewrite(path, treatment="gray")
    with pytest.raises(errors.UsageError, match="what gray does, where finetune is"):
        predictions.Predictions(explanations).of(gathered.results.runs[0], "all")


def test_images_a_class_have_the_diagnosis_of_the_whole_set(gathered, explanations):
    run = gathered.results.runs[0]
    assert predictions.Predictions(explanations).of(run, "head").points == 9


@pytest.mark.parametrize(
    "values",
    [
        {"data": "cifar100"},
        {"data": "cifar10+contrast_0.5"},
        {"data": "cifar10", "shift": "none"},
        {"model": "resnet1 (file)"},
        {"model": "resnet18_wide (file)"},
    ],
)
def test_the_diagnosis_of_another_cell_is_refused(explanations, gathered, values):
    (path,) = explanations.glob("*/*/explanation.json")
    rewrite(path, **values)
    with pytest.raises(
        errors.UsageError, match="its folder says resnet18 on cifar10"
    ) as caught:
        predictions.Predictions(explanations).of(gathered.results.runs[0], "all")
    assert str(caught.value).startswith(f"{path} is a diagnosis of ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"data": "cifar10+contrast_0.2", "shift": "contrast:0.2"},
        {"data": "cifar10+contrast_0.2"},
        {"model": "resnet18"},
    ],
)
def test_the_diagnosis_of_its_cell_is_accepted(explanations, gathered, values):
    (path,) = explanations.glob("*/*/explanation.json")
    rewrite(path, **values)
    found = predictions.Predictions(explanations).of(gathered.results.runs[0], "head")
    assert found.points == 9


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("points", "9"),
        pytest.param("points", 10**400, id="huge"),
        ("displacement", None),
        ("margin", -1),
        ("take", ["finetune"]),
        ("training", 1),
    ],
)
def test_values_of_other_types_are_refused(explanations, gathered, key, value):
    (path,) = explanations.glob("*/*/explanation.json")
    rewrite(path, predictions=[{**predicted("all", 0), key: value}])
    with pytest.raises(
        errors.UsageError, match=r"explanation\.json: .*; write it again"
    ):
        predictions.Predictions(explanations).of(gathered.results.runs[0], "all")


def test_cells_without_a_prediction_are_counted(explanations, gathered):
    assert gathered.unpredicted == []
    (path,) = explanations.glob("*/*/explanation.json")
    rewrite(path, predictions=[predicted("head", 9)])
    found = gather(gathered.results, explanations)
    assert [cell.model for cell in found.unpredicted] == ["resnet18"]
    assert [outcome.training for outcome in found.outcomes] == ["head"]


def test_diagnoses_of_no_measured_cell_are_refused(explanations, gathered):
    (path,) = explanations.glob("*/*/explanation.json")
    rewrite(path, predictions=[predicted("frozen_bn", 1)])
    expected = (
        r"nothing for the 2 cells .* such as cifar10\+contrast_0.2/resnet18; each"
    )
    with pytest.raises(errors.UsageError, match=expected):
        gather(gathered.results, explanations)


def test_the_committed_diagnoses_are_usable():
    folder = ROOT / "plots" / "studies" / "explanations"
    cells = {path.parent for path in folder.glob("*/*/explanation.json")}
    assert len(cells) > 10
    for cell in cells:
        name = RunName(cell.parent.name, cell.name, "finetune", 1)
        run = types.SimpleNamespace(cell=name.cell)
        assert predictions.Predictions(folder).of(run, "head") is not None
