"""Predictions read from diagnoses, and their place in a report."""

import json
import types

import pytest

from normtest_tf import errors
from normtest_tf.analysis import Cell, results
from normtest_tf.report import document, predictions
from normtest_tf.runs.history import FINAL
from tests.helpers import ROOT
from tests.helpers.fake_results import write_run

DATASET = "cifar10+contrast_0.2"


def predicted(training, points, **values):
    found = {"training": training, "displacement": 0.5, "points": points, "margin": 1.0}
    return {**found, "take": "finetune" if points else None, **values}


@pytest.fixture
def rewrite(tmp_path):
    """Writes a diagnosis, with other values than usual."""
    path = tmp_path / "explanations" / DATASET / "resnet18" / "explanation.json"
    path.parent.mkdir(parents=True)
    usual = {"data": "cifar10", "model": "resnet18 (file)", "treatment": "finetune"}
    usual["predictions"] = [predicted("all", 0), predicted("head", 9)]

    def write(**values):
        path.write_text(json.dumps(usual | values))

    write()
    return write


@pytest.fixture
def gather(tmp_path, rewrite):
    """Gathers runs of two ways of training, with an effect of 2 and of 9.5 points."""
    folder = tmp_path / "results"
    for train, gain in (("all", 0.02), ("head", 0.095)):
        for seed in (1, 2):
            for setting, final in (("pretrain", 0.5), ("finetune", 0.5 + gain)):
                model = "resnet18" if train == "all" else f"resnet18+{train}"
                values = {"shift": "contrast:0.2", "train": train}
                write_run(folder, DATASET, model, setting, seed, final, **values)

    def gather(explanations=tmp_path / "explanations"):
        options = {"rule": FINAL, "margin": 0.5, "explanations": explanations}
        return document.gather(results.read(folder), **options)

    return gather


def prediction_of(folder, training, dataset=DATASET, model="resnet18"):
    run = types.SimpleNamespace(cell=Cell(dataset, model))
    return predictions.prediction_of(folder / "explanations", run, training)


def test_the_report_lists_hits_and_misses(gather):
    gathered = gather()
    head, whole = sorted(gathered.outcomes, key=lambda o: o.training, reverse=True)
    assert (head.points, head.take, head.is_hit) == (9, "finetune", True)
    assert head.effect.mean == pytest.approx(9.5)
    assert (whole.points, whole.is_hit) == (0, False)
    text = document.to_markdown(gathered, "a command")
    assert "## What the diagnosis predicted" in text
    assert "| +9.00 ± 1.00 | +9.50 ± 0.00 | 2 | within |" in text
    assert "| +0.00 ± 1.00 | +2.00 ± 0.00 | 2 | **missed** |" in text
    # Following: 0 and 2 points lost; always pretrain: 9.5 and 2; finetune: none.
    assert "| all of these | 2 | 1 | 1.25 | - | 1.00 | 5.75 | 0.00 |" in text
    without = gather(explanations=None)
    assert "diagnosis" not in document.to_markdown(without, "a command")


def test_cells_without_a_prediction_are_counted_unless_they_are_all(gather, rewrite):
    assert gather().unpredicted == []
    rewrite(predictions=[predicted("head", 9)])
    found = gather()
    assert [cell.model for cell in found.unpredicted] == ["resnet18"]
    assert [outcome.training for outcome in found.outcomes] == ["head"]
    rewrite(predictions=[predicted("frozen_bn", 1)])
    expected = r"nothing for the 2 cells .* such as cifar10\+contrast_0.2/resnet18;"
    with pytest.raises(errors.UsageError, match=expected):
        gather()


FOLDER_SAYS = r"is a diagnosis of .*its folder says resnet18 on cifar10"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"data": "cifar100"}, FOLDER_SAYS),
        ({"data": "cifar10+contrast_0.5"}, FOLDER_SAYS),
        ({"data": "cifar10", "shift": "none"}, FOLDER_SAYS),
        ({"model": "resnet18_wide (file)"}, FOLDER_SAYS),
        ({"treatment": "gray"}, "what gray does, where finetune is compared"),
        ({"predictions": [{"training": "all"}]}, "missing required field"),
        ({"predictions": [predicted("all", "9")]}, "Expected `float`"),
        ({"predictions": [predicted("all", 1, margin=-1)]}, ">= 0"),
    ],
)
def test_unusable_diagnoses_are_refused(tmp_path, rewrite, values, expected):
    rewrite(**values)
    with pytest.raises(errors.UsageError, match=expected) as caught:
        prediction_of(tmp_path, "all")
    assert f"{DATASET}/resnet18" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "write it again with experiments.explain" in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"data": DATASET, "shift": "contrast:0.2"},
        {"data": DATASET},
        {"model": "resnet18"},
    ],
)
def test_the_diagnosis_of_its_cell_is_accepted(tmp_path, rewrite, values):
    rewrite(**values)
    assert prediction_of(tmp_path, "head").points == 9
    # A diagnosis is of the images, however many of them are trained on.
    few = prediction_of(tmp_path, "head", f"{DATASET}+20_per_class", "resnet18+x")
    assert few.points == 9
    assert prediction_of(tmp_path, "frozen_bn") is None


def test_the_committed_diagnoses_are_usable():
    studies = ROOT / "plots" / "studies"
    cells = {path.parent for path in studies.glob("explanations/*/*/explanation.json")}
    assert len(cells) > 10
    for cell in cells:
        assert prediction_of(studies, "head", cell.parent.name, cell.name) is not None
