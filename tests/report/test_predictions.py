"""Predictions read from diagnoses, and their place in a report."""

import json

import pytest

from normtest_tf import errors
from normtest_tf.analysis import results
from normtest_tf.report import content, document, predictions
from normtest_tf.runs.history import FINAL
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


@pytest.fixture
def explanations(tmp_path):
    folder = tmp_path / "explanations" / "cifar10+contrast_0.2" / "resnet18"
    folder.mkdir(parents=True)
    found = {
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
                    former=False,
                    shift="contrast:0.2",
                    train=train,
                )
    return content.gather(
        results.read(folder), rule=FINAL, margin=0.5, explanations=explanations
    )


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
    found = content.gather(gathered.results, rule=FINAL, margin=0.5)
    assert found.outcomes == []
    assert "diagnosis" not in document.to_markdown(found, "a command")


def test_a_file_without_predictions_is_refused(explanations, gathered):
    (path,) = explanations.glob("*/*/explanation.json")
    path.write_text('{"predictions": [{"training": "all"}]}')
    with pytest.raises(errors.UsageError, match="holds no predictions; write it"):
        content.gather(
            gathered.results, rule=FINAL, margin=0.5, explanations=explanations
        )


def test_predictions_of_another_setting_are_refused(explanations, gathered):
    (path,) = explanations.glob("*/*/explanation.json")
    found = {"treatment": "gray", "predictions": [predicted("all", 0)]}
    path.write_text(json.dumps(found))
    with pytest.raises(errors.UsageError, match="what gray does, where finetune is"):
        predictions.Predictions(explanations).of(gathered.results.runs[0], "all")


def test_images_a_class_have_the_diagnosis_of_the_whole_set(gathered, explanations):
    run = gathered.results.runs[0]
    assert predictions.Predictions(explanations).of(run, "head")["points"] == 9
