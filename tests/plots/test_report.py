"""A report as a whole: its files, and its text where runs are missing."""

import dataclasses
import filecmp
import json
import pathlib
import re

import pytest

from normtest_tf.analysis import published, results
from normtest_tf.normalization import SETTINGS
from normtest_tf.report import document
from normtest_tf.runs.history import FINAL
from plots import report, style
from tests.helpers import ROOT, programs
from tests.helpers.fake_results import write_run, write_study

STUDY = ROOT / "plots" / "studies" / "cpu"
FILES = ("table1.md", "table1.csv", "effects.csv", "data_sets.csv", "report.md")
FIGURES = ("figure1.png", "figure1.svg", "effects.png", "effects.svg", "report.html")


def write_report(found, out_dir):
    tables = [published.load("seed_table1")]
    gathered = document.gather(found, rule=FINAL, margin=0.5, published=tables)
    return report.write(gathered, out_dir, "python -m experiments.report")


def test_the_same_results_give_the_same_bytes(study, tmp_path):
    for name in ("first", "second"):
        write_report(study, tmp_path / name)
    names = [*FILES, *FIGURES]
    same = filecmp.cmpfiles(
        tmp_path / "first", tmp_path / "second", names, shallow=False
    )
    assert same == (names, [], [])


def test_html_is_one_file(study, tmp_path):
    write_report(study, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml;base64,") == 2
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("<table>") == page.count("</table>") > 5


def test_gaps_are_reported(tmp_path):
    write_run(tmp_path / "results", normalization="finetune", seed=1)
    write_run(tmp_path / "results", normalization="pretrain", seed=1)
    write_run(tmp_path / "results", normalization="pretrain", seed=2)
    answer = write_report(results.read(tmp_path / "results"), tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Missing: 1 of 4 runs" in text
    assert "cifar10/resnet18-finetune/seed-2" in text
    assert "a single pair of runs (1)" in answer


def test_results_without_a_pair_still_give_a_report(tmp_path):
    write_run(tmp_path / "results", normalization="finetune")
    answer = write_report(results.read(tmp_path / "results"), tmp_path)
    assert "nothing to compare" in answer
    assert not (tmp_path / "effects.csv").exists()
    assert not (tmp_path / "effects.png").exists()
    assert (tmp_path / "report.html").exists()


def test_a_new_setting_appears_everywhere(tmp_path, monkeypatch):
    halved = dataclasses.replace(SETTINGS["minmax"], name="halved", formula="x / 2")
    monkeypatch.setitem(SETTINGS, "halved", halved)
    write_study(tmp_path / "results", [("cifar10", "resnet18")], seeds=2)
    for seed in range(2):
        write_run(tmp_path / "results", normalization="halved", seed=seed)
    write_report(results.read(tmp_path / "results"), tmp_path)
    for name in ("table1.md", "table1.csv", "effects.csv", "data_sets.csv"):
        assert "halved" in (tmp_path / name).read_text(encoding="utf-8"), name
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "### halved - pretrain" in text
    assert "- `halved`: x / 2." in text
    for name in ("figure1.svg", "effects.svg"):
        drawn = (tmp_path / name).read_text(encoding="utf-8").lower()
        assert style.color("halved").lower() in drawn, name


def run_report(*flags):
    done = programs.run("report", *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("settings", "tables_and_figures"),
    [
        (["finetune"], ["table1.md", "figure1.png"]),
        (
            ["finetune", "pretrain"],
            ["table1.md", "effects.csv", "figure1.png", "effects.png"],
        ),
    ],
)
def test_the_files_that_were_written_are_announced(
    tmp_path, settings, tables_and_figures
):
    for setting in settings:
        write_run(tmp_path / "results", normalization=setting)
    printed = run_report(
        f"--results_dir={tmp_path / 'results'}", f"--out_dir={tmp_path}"
    )
    found = [
        pathlib.Path(name) for name in re.findall(r"/\S+\.(?:html|md|csv|png)", printed)
    ]
    assert [path.name for path in found] == ["report.html", *tables_and_figures]
    assert all(path.exists() for path in found)


CALIBRATION = ("calibration.csv", "calibration.png", "calibration.svg")


def test_predictions_are_announced_and_do_not_outlive_their_report(tmp_path):
    folder = tmp_path / "diagnoses" / "cifar10" / "resnet18"
    for dataset in ("cifar10", "cifar100"):
        for setting in ("finetune", "pretrain"):
            write_run(tmp_path / "results", dataset, normalization=setting)
    prediction = {"training": "all", "displacement": 0, "points": 0, "margin": 1}
    diagnosis = {
        "data": "cifar10",
        "model": "resnet18 (file)",
        "treatment": "finetune",
        "predictions": [{**prediction, "take": None}],
    }
    folder.mkdir(parents=True)
    (folder / "explanation.json").write_text(json.dumps(diagnosis))
    flags = [f"--results_dir={tmp_path / 'results'}", f"--out_dir={tmp_path}"]
    printed = run_report(*flags, f"--explanations={tmp_path / 'diagnoses'}")
    assert "note: no diagnosis predicts 1 cell, left out" in printed
    for name in CALIBRATION:
        assert (tmp_path / name).exists()
    assert all(str(tmp_path / name) in printed for name in CALIBRATION[:2])
    assert "calibration." not in run_report(*flags)
    assert not any((tmp_path / name).exists() for name in CALIBRATION)


def test_effects_do_not_outlive_the_comparison_that_they_are_of(tmp_path):
    effects = [tmp_path / f"effects.{suffix}" for suffix in ("csv", "png", "svg")]
    for setting in ("finetune", "pretrain"):
        write_run(tmp_path / "both", normalization=setting)
    write_run(tmp_path / "one")
    run_report(f"--results_dir={tmp_path / 'both'}", f"--out_dir={tmp_path}")
    assert all(path.exists() for path in effects)
    run_report(f"--results_dir={tmp_path / 'one'}", f"--out_dir={tmp_path}")
    assert not any(path.exists() for path in effects)


def test_a_rule_goes_by_the_name_of_version_0_1_0_too(tmp_path):
    flags = [f"--results_dir={STUDY / 'runs'}", f"--out_dir={tmp_path}"]
    run_report(*flags, "--rule=selected")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Verdicts use the best epoch on the validation images." in text
    assert "--rule=best_validation" in text


def test_a_report_is_not_written_into_a_run():
    run = STUDY / "runs" / "cifar10" / "resnet18-pretrain" / "seed-1"
    done = programs.run("report", f"--results_dir={STUDY / 'runs'}", f"--out_dir={run}")
    programs.assert_refused(done, "is a run's folder")


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """The committed study's report, regenerated by the command it names."""
    folder = tmp_path_factory.mktemp("report")
    text = (STUDY / "report.md").read_text(encoding="utf-8")
    command = re.search(r"python -m experiments\.report (.*)", text)[1].split()
    flags = [
        f"--out_dir={folder}" if flag.startswith("--out_dir") else flag
        for flag in command
    ]
    run_report(*flags)
    return folder


@pytest.mark.parametrize("name", ["table1.md", *FILES[1:4]])
def test_the_committed_study_is_reproduced_by_its_command(repeated, name):
    assert (repeated / name).read_bytes() == (STUDY / name).read_bytes()


def test_the_committed_text_is_up_to_date(repeated):
    texts = [
        re.sub("--out_dir=.*", "", (folder / "report.md").read_text(encoding="utf-8"))
        for folder in (repeated, STUDY)
    ]
    assert texts[0] == texts[1]
