import csv
import dataclasses
import json
import math

import numpy as np
import pytest

from normtest_tf.analysis import published, results
from normtest_tf.report import document, rows, sections
from normtest_tf.runs.folder import FINAL
from normtest_tf.text import csv_text
from tests.helpers.fake_results import write_json, write_run


def test_accuracies_are_our_means_with_the_published_values(
    study, gathered, monkeypatch
):
    found = {
        (row["dataset"], row["model"], row["normalization"]): row
        for row in gathered.accuracies
    }
    assert len(found) == 12
    row = found["cifar10", "resnet18", "finetune"]
    values = list(study.accuracies(("cifar10", "resnet18"), "finetune", FINAL).values())
    mean = np.mean(values)
    assert row["final_mean"] == pytest.approx(100 * mean)
    assert row["final_sd"] == pytest.approx(100 * np.std(values, ddof=1))
    assert row["test_set_error"] == pytest.approx(math.sqrt(mean * (1 - mean)))
    assert (row["n"], row["best"]) == (5, 1)
    assert row["published"] == pytest.approx(88.47)
    assert row["difference"] == pytest.approx(row["best_test_mean"] - 88.47)
    assert math.isnan(row["best_validation_mean"])
    assert found["cifar10", "resnet18", "minmax"]["published"] is None
    assert found["cifar10", "resnet18", "pretrain"]["best"] == 0
    # The first table with a condition wins, after those of another recipe.
    tables = [published.load("extended_table3"), published.load("seed_table1")]
    row = rows.accuracy_rows(study, FINAL, tables)[0]
    assert row["published"] == pytest.approx(87.88)
    assert row["published_in"] == "PyTorch study, later edition"
    tables[1] = dataclasses.replace(tables[1], epochs=3)
    row = rows.accuracy_rows(study, FINAL, tables)[0]
    assert (row["published_in"], row["same_recipe"]) == (tables[1].title, True)
    monkeypatch.setitem(study.runs[0].config.requested, "test_examples", 5)
    row = rows.accuracy_rows(study, FINAL, tables)[0]
    assert row["same_recipe"] is False


def test_data_sets_have_statistics_after_normalization(gathered, tmp_path):
    found = {(row["dataset"], row["normalization"]): row for row in gathered.data_sets}
    row = found["cifar10", "pretrain"]
    assert row["mean_red"] == pytest.approx((0.5 - 0.485) / 0.229)
    assert row["std_blue"] == pytest.approx(0.1 / 0.225)
    assert found["cifar10", "minmax"]["mean_green"] == pytest.approx(0.4)
    assert math.isnan(found["cifar10", "instance"]["mean_red"])
    row = found["cifar100", "finetune"]
    assert (row["models"], row["mean_red"], row["std_red"]) == (
        "resnet18 resnet50",
        *(0, 1),
    )
    write_run(tmp_path, normalization="pretrain")  # It does not measure the images.
    (row,) = rows.data_set_rows(results.read(tmp_path))
    assert math.isnan(row["mean_red"])


def test_images_of_another_size_have_rows_of_their_own(tmp_path):
    expected = {}
    for model, side, std in (("resnet18", 32, 0.2), ("resnet50", 64, 0.3)):
        for setting in ("finetune", "minmax"):
            path = write_run(tmp_path, "cifar10", model, setting) / "config.json"
            values = json.loads(path.read_text())
            values["resolved"]["image_shape"] = [side, side, 3]
            if setting == "finetune":
                values["resolved"]["statistics"]["std"] = [std] * 3
            write_json(path, values)
        expected[model] = f"{side}x{side}", std
    found = {
        row["models"]: (row["size"], pytest.approx(row["std_red"]))
        for row in rows.data_set_rows(results.read(tmp_path))
        if row["normalization"] == "minmax"
    }
    assert found == expected


def test_every_run_has_a_row(tmp_path):
    values = {"shift": "contrast:0.5", "train": "head", "examples_per_class": 20}
    write_run(
        *(tmp_path, "cifar10+contrast_0.5+20_per_class", "resnet18+head"),
        **values,
        final=0.7011,
        best=0.9,
        best_validation=0.8,
    )
    write_run(tmp_path, "svhn_cropped", seed=7, final=0.5)
    text = csv_text([rows.run_row(run) for run in results.read(tmp_path).runs])
    first, second = csv.DictReader(text.splitlines())
    expected = {name: str(value) for name, value in values.items()} | {
        "dataset": "cifar10",
        "test_examples": "10000",
        "final_epoch": "3",
        "final_accuracy": "70.11",
        "final_correct": "7011",
        "best_test_epoch": "2",
        "best_test_correct": "9000",
        "best_validation_accuracy": "80",
        "learning_rate": "0.001",
        "image_size": "32x32",
    }
    assert {name: first[name] for name in expected} == expected
    assert (second["dataset"], second["seed"]) == ("svhn_cropped", "7")
    assert second["best_validation_correct"] == second["best_validation_epoch"] == ""


def test_runs_of_the_published_protocol_are_beside_their_published_neighbours(tmp_path):
    for model in ("resnet18", "densenet169"):
        write_run(tmp_path, model=model, normalization="pretrain", final=0.8, best=0.9)
    study = results.read(tmp_path)
    table = published.load("seed_table1")
    assert sections.neighbours_table(study, table) == ""  # These have three epochs.
    table = dataclasses.replace(table, epochs=3)
    assert [
        (ours.model, other.model) for ours, other in rows.neighbours(study, table)
    ] == [
        ("densenet169", "densenet121"),
        ("densenet169", "densenet161"),
        ("resnet18", "resnet18"),
    ]
    last = sections.neighbours_table(study, table).splitlines()[-1]
    assert last == (
        "| cifar10 | pretrain | resnet18 (n = 1) | resnet18 (n = 1) | 90.00, 87.97 | "
        "+2.03 | 80.00, probably 87.79 | -7.79 |"
    )
    write_run(tmp_path, normalization="finetune", final=0.8, best=0.92)
    theirs = {"1": 0.5, "2": 0.625}
    own = ("cifar10", "resnet18", "finetune")
    table = dataclasses.replace(
        table,
        accuracies={
            published.Condition(*own): theirs,
            published.Condition(*own[:2], "pretrain"): {"2": 0.5, "1": 0.5, "3": 0.1},
        },
        final={},
    )
    found = results.read(tmp_path)
    assert sections.neighbours_table(found, table).splitlines()[2:] == [
        "| cifar10 | finetune | resnet18 (n = 1) | resnet18 (n = 2) | 92.00, 56.25 | "
        "+35.75 |",
        "| cifar10 | pretrain | resnet18 (n = 1) | resnet18 (n = 3) | 90.00, 36.67 | "
        "+53.33 |",
    ]
    last = sections.differences_table(found, table).splitlines()[-1]
    assert last == "| cifar10 | resnet18 | +2.00 (n = 1) | +6.25 ± 79.41 (n = 2) |"


def test_published_differences_belong_to_the_published_comparison_and_recipe(study):
    tables = [published.load(name) for name in ("extended_table3", "seed_table1")]
    of_another_recipe = document.gather(study, rule=FINAL, margin=0.5, published=tables)
    assert of_another_recipe.published_for(of_another_recipe.comparisons[0]) == {}
    assert "12 conditions of these are not" in document.to_markdown(
        of_another_recipe, "command"
    )
    # The first of several tables wins.
    for epochs, expected in (((3, 3), -0.1), ((3, 4), -0.1), ((4, 3), 0.5)):
        given = [
            dataclasses.replace(table, epochs=number)
            for table, number in zip(tables, epochs, strict=True)
        ]
        gathered = dataclasses.replace(of_another_recipe, published=given)
        finetune, *others = gathered.comparisons
        found = gathered.published_for(finetune)
        assert found["cifar10", "resnet18"] == pytest.approx(expected)
        assert set(found) == set(finetune.judgements)  # The editions have more cells.
        assert [gathered.published_for(other) for other in others] == [{}, {}]
