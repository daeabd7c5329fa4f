import csv
import dataclasses

import numpy as np
import pytest
from scipy import stats

from normtest_tf.analysis import published, results
from normtest_tf.report import rows
from normtest_tf.runs.history import BEST_TEST, FINAL
from tests.helpers.fake_results import CELLS, write_run


def test_effects_equal_scipys_paired_t_test(study, gathered):
    found = rows.effect_rows(gathered.comparisons)
    finetune = [row for row in found if row["treatment"] == "finetune"]
    assert [(row["dataset"], row["model"]) for row in finetune] == [
        *CELLS,
        ("all", "all"),
    ]
    for row, cell in zip(finetune, CELLS, strict=False):
        treated, control = (
            100 * np.array(list(study.accuracies(cell, setting, FINAL).values()))
            for setting in ("finetune", "pretrain")
        )
        test = stats.ttest_rel(treated, control)
        interval = test.confidence_interval()
        assert row["mean"] == pytest.approx((treated - control).mean())
        assert row["t_low"] == pytest.approx(interval.low)
        assert row["t_high"] == pytest.approx(interval.high)
        assert row["t_p"] == pytest.approx(test.pvalue)
        assert row["verdict"] == "finetune better"


def test_the_last_row_of_a_comparison_is_its_mean_over_cells(gathered):
    found = rows.effect_rows(gathered.comparisons)
    last = [row for row in found if row["dataset"] == "all"]
    assert [row["treatment"] for row in last] == ["finetune", "instance", "minmax"]
    for row, comparison in zip(last, gathered.comparisons, strict=True):
        assert list(row) == list(found[0])
        assert (row["unit"], row["n"]) == ("cells", 3)
        means = [j.effect.mean for j in comparison.judgements.values()]
        assert row["mean"] == pytest.approx(np.mean(means))
        assert row["t_p"] is None


def test_accuracies_are_our_means_with_the_published_values(study, gathered):
    found = {
        (row["dataset"], row["model"], row["normalization"]): row
        for row in gathered.accuracies
    }
    assert len(found) == 12
    row = found["cifar10", "resnet18", "finetune"]
    values = list(study.accuracies(("cifar10", "resnet18"), "finetune", FINAL).values())
    assert row["final_mean"] == pytest.approx(100 * np.mean(values))
    assert row["final_sd"] == pytest.approx(100 * np.std(values, ddof=1))
    assert (row["n"], row["best"]) == (5, 1)
    assert row["published"] == pytest.approx(88.47)
    assert row["difference"] == pytest.approx(row["best_test_mean"] - 88.47)
    assert row["best_validation_mean"] is None
    assert found["cifar10", "resnet18", "minmax"]["published"] is None
    assert found["cifar10", "resnet18", "pretrain"]["best"] == 0


def test_the_first_table_with_a_condition_wins(study):
    tables = [published.load("extended_table3"), published.load("seed_table1")]
    found = rows.accuracy_rows(study, FINAL, tables)
    assert found[0]["published"] == pytest.approx(87.88)
    assert found[0]["published_in"] == "PyTorch study, later edition"


def test_data_sets_have_statistics_after_normalization(gathered):
    found = {(row["dataset"], row["normalization"]): row for row in gathered.data_sets}
    row = found["cifar10", "pretrain"]
    assert row["mean_red"] == pytest.approx((0.5 - 0.485) / 0.229)
    assert row["std_blue"] == pytest.approx(0.1 / 0.225)
    assert found["cifar10", "minmax"]["mean_green"] == pytest.approx(0.4)
    assert found["cifar10", "instance"]["mean_red"] is None
    assert found["cifar100", "finetune"]["models"] == "resnet18 resnet50"
    assert found["cifar100", "finetune"]["mean_red"] == 0
    assert found["cifar100", "finetune"]["std_red"] == 1


def test_images_that_no_run_has_measured_have_no_statistics(tmp_path):
    write_run(tmp_path, normalization="pretrain")
    (row,) = rows.data_set_rows(results.read(tmp_path))
    assert row["mean_red"] is None


def test_published_single_runs_have_their_test_set_error(gathered):
    row = next(
        row
        for row in gathered.published_differences
        if (row["dataset"], row["model"]) == CELLS[0]
    )
    assert row["difference"] == pytest.approx(0.5)
    # sqrt(.8847 * .1153 + .8797 * .1203) / 100 in points.
    assert "up to 0.46" in row["in_words"]


def test_our_difference_follows_the_published_rule(tmp_path):
    for seed, best in ((1, 0.91), (2, 0.93)):
        write_run(tmp_path, normalization="finetune", seed=seed, best=best)
        write_run(tmp_path, normalization="pretrain", seed=seed, best=0.9)
    found = results.read(tmp_path)
    row = next(
        row
        for row in rows.published_rows([published.load("seed_table1")], found)
        if row["ours_n"]
    )
    ours = found.paired_differences(CELLS[0], "finetune", "pretrain", BEST_TEST)
    assert row["ours"] == pytest.approx(np.mean(list(ours.values()))) == 2
    # t(0.975, 1) = 12.7062; the sd of 1 and 3 is sqrt(2).
    assert row["ours_half_width"] == pytest.approx(12.7062, abs=1e-4)


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
    rows.write_csv(tmp_path / "runs.csv", rows.run_rows(results.read(tmp_path)))
    with open(tmp_path / "runs.csv", encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert first["dataset"] == "cifar10"
    assert {name: first[name] for name in values} == {
        name: str(value) for name, value in values.items()
    }
    assert (first["final_epoch"], first["final_accuracy"]) == ("3", "70.11")
    assert (first["final_correct"], first["test_examples"]) == ("7011", "10000")
    assert (first["best_test_epoch"], first["best_test_correct"]) == ("2", "9000")
    assert first["best_validation_accuracy"] == "80"
    assert (second["dataset"], second["seed"]) == ("svhn_cropped", "7")
    assert second["best_validation_correct"] == second["best_validation_epoch"] == ""


def test_runs_of_the_published_protocol_are_beside_their_published_neighbours(tmp_path):
    for model in ("resnet18", "densenet169"):
        write_run(tmp_path, model=model, normalization="pretrain", final=0.8, best=0.9)
    study = results.read(tmp_path)
    table = published.load("seed_table1")
    assert rows.neighbour_rows(study, [table]) == []  # These have three epochs.
    found = rows.neighbour_rows(study, [dataclasses.replace(table, epochs=3)])
    assert [(row["model"], row["neighbour"]) for row in found] == [
        ("densenet169", "densenet121"),
        ("densenet169", "densenet161"),
        ("resnet18", "resnet18"),
    ]
    last = found[-1]
    assert (last["best_test_ours"], last["final_ours"]) == pytest.approx((90, 80))
    assert last["best_test_published"] == pytest.approx(87.97)
    assert last["final_published"] == pytest.approx(87.79)
