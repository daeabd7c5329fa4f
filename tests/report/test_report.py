"""Tables, figures and text of a report, on results that a test chooses."""

import csv
import filecmp
import re
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from normtest_tf.analysis import comparisons, results
from normtest_tf.published import editions
from normtest_tf.report import rows as report_tables
from plots import report
from tests.helpers import ROOT
from tests.helpers.fake_results import write_run, write_study

STUDY = ROOT / "plots" / "studies" / "cpu"
CELLS = [("cifar10", "resnet18"), ("cifar100", "resnet18"), ("cifar100", "resnet50")]
FILES = ("table1.md", "table1.csv", "effects.csv", "data_sets.csv", "report.md")
FIGURES = ("figure1.png", "figure1.svg", "effects.png", "effects.svg", "report.html")


@pytest.fixture
def study(tmp_path):
    write_study(tmp_path / "results", CELLS, effect=0.01, spread=0.001)
    return tmp_path


def write_report(folder, out="report", **values):
    defaults = {
        "rule": "final",
        "margin": 0.5,
        "references": [editions.load("seed_table1")],
        "command": "python -m experiments.report",
    }
    out_dir = folder / out
    answer = report.write(
        results.read(folder / "results"), out_dir, **(defaults | values)
    )
    return out_dir, answer


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_effects_equal_scipy_s(study):
    out_dir, answer = write_report(study)
    found = results.read(study / "results")
    rows = read_csv(out_dir / "effects.csv")
    finetune = [row for row in rows if row["treatment"] == "finetune"]
    assert [(row["dataset"], row["model"]) for row in finetune] == [
        *CELLS,
        ("all", "all"),
    ]
    for row, cell in zip(finetune, CELLS, strict=False):
        treated, control = (
            100 * np.array([run.accuracy("final") for run in found.of(cell, setting)])
            for setting in ("finetune", "pretrain")
        )
        test = stats.ttest_rel(treated, control)
        interval = test.confidence_interval()
        assert float(row["mean"]) == pytest.approx((treated - control).mean())
        assert float(row["t_low"]) == pytest.approx(interval.low, rel=1e-4)
        assert float(row["t_high"]) == pytest.approx(interval.high, rel=1e-4)
        assert float(row["t_p"]) == pytest.approx(test.pvalue, rel=1e-4)
        assert row["verdict"] == "finetune better"
    assert "finetune is better in 3" in answer


def test_table_1_has_our_means_and_the_published_values(study):
    out_dir, _ = write_report(study)
    found = results.read(study / "results")
    rows = {
        (row["dataset"], row["model"], row["normalization"]): row
        for row in read_csv(out_dir / "table1.csv")
    }
    assert len(rows) == 12
    row = rows["cifar10", "resnet18", "finetune"]
    values = found.accuracies(("cifar10", "resnet18"), "finetune", "final")
    assert float(row["final_mean"]) == pytest.approx(
        100 * np.mean(list(values.values())), rel=1e-5
    )
    assert (row["n"], row["best"], row["published"]) == ("5", "1", "88.47")
    ours = float(row["best_test_mean"])
    assert float(row["difference"]) == pytest.approx(ours - 88.47, abs=1e-3)
    assert rows["cifar10", "resnet18", "minmax"]["published"] == ""
    assert rows["cifar10", "resnet18", "pretrain"]["best"] == "0"
    text = (out_dir / "table1.md").read_text(encoding="utf-8")
    assert re.search(r"\| cifar10 \| finetune \| \*\*8\d\.\d\d ± 0\.\d\d\*\*", text)
    assert "not run" in text  # cifar10 has no resnet50.


def test_data_sets_show_what_the_networks_see(study):
    out_dir, _ = write_report(study)
    rows = {
        (row["dataset"], row["normalization"]): row
        for row in read_csv(out_dir / "data_sets.csv")
    }
    row = rows["cifar10", "pretrain"]
    assert float(row["mean_red"]) == pytest.approx((0.5 - 0.485) / 0.229, rel=1e-4)
    assert float(row["std_blue"]) == pytest.approx(0.1 / 0.225, rel=1e-4)
    assert float(rows["cifar10", "minmax"]["mean_green"]) == 0.4
    assert rows["cifar10", "instance"]["mean_red"] == ""
    assert rows["cifar100", "finetune"]["models"] == "resnet18 resnet50"


def test_html_is_one_file(study):
    out_dir, _ = write_report(study)
    page = (out_dir / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml;base64,") == 2
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("<table>") == page.count("</table>") > 5


def test_the_same_results_give_the_same_bytes(study):
    first, _ = write_report(study, "first")
    second, _ = write_report(study, "second")
    names = [*FILES, *FIGURES]
    assert filecmp.cmpfiles(first, second, names, shallow=False) == (names, [], [])


def test_gaps_are_told_not_dropped(tmp_path):
    write_run(tmp_path / "results", normalization="finetune", seed=1)
    write_run(tmp_path / "results", normalization="pretrain", seed=1)
    write_run(tmp_path / "results", normalization="pretrain", seed=2)
    out_dir, answer = write_report(tmp_path)
    text = (out_dir / "report.md").read_text(encoding="utf-8")
    assert "1 of 4 runs are missing" in text
    assert "cifar10/resnet18-finetune/seed-2" in text
    assert "a single pair of runs tells nothing in 1" in answer


def test_results_without_a_pair_still_give_a_report(tmp_path):
    write_run(tmp_path / "results", normalization="finetune")
    out_dir, answer = write_report(tmp_path)
    assert "Nothing can be compared" in answer
    assert not (out_dir / "effects.csv").exists()
    assert (out_dir / "report.html").exists()


def test_rules_differ(tmp_path):
    for seed in range(3):
        for setting, final, best in (
            ("finetune", 0.8, 0.9),
            ("pretrain", 0.8, 0.8 + seed / 1000),
        ):
            write_run(
                tmp_path, normalization=setting, seed=seed, final=final, best=best
            )
    found = results.read(tmp_path)
    by_rule = {
        rule: comparisons.compare(found, "finetune", rule=rule).over_cells.mean
        for rule in ("final", "best_test")
    }
    assert by_rule == pytest.approx({"final": 0, "best_test": 9.9})


def test_published_single_runs_have_their_test_set_error(study):
    found = results.read(study / "results")
    rows = report_tables.published([editions.load("seed_table1")], found)
    row = next(r for r in rows if (r["dataset"], r["model"]) == CELLS[0])
    assert row["difference"] == pytest.approx(0.5)
    # sqrt(.8847 * .1153 + .8797 * .1203) / 100 in points.
    assert "±0.46" in row["in_words"]


def test_the_committed_study_is_reproduced_by_its_command(tmp_path):
    text = (STUDY / "report.md").read_text(encoding="utf-8")
    command = re.search(r"python -m (experiments\.report .*)", text)[1].split()
    flags = [
        f"--out_dir={tmp_path}" if flag.startswith("--out_dir") else flag
        for flag in command[1:]
    ]
    subprocess.run(
        [sys.executable, "-m", command[0], *flags], cwd=ROOT, check=True, timeout=120
    )
    for name in ("table1.md", "table1.csv", "effects.csv", "data_sets.csv"):
        assert (tmp_path / name).read_bytes() == (STUDY / name).read_bytes(), name
