"""A report as a whole: its files, and its text where runs are missing."""

import dataclasses
import filecmp
import json
import pathlib
import re

from normtest_tf.analysis import published, results
from normtest_tf.normalization import SETTINGS
from normtest_tf.report import document
from normtest_tf.runs.history import FINAL
from plots import report, style
from tests.helpers import ROOT, programs
from tests.helpers.fake_results import write_run, write_study

STUDY = ROOT / "plots" / "studies" / "cpu"
FILES = (
    *("table1.md", "table1.csv", "effects.csv", "data_sets.csv", "runs.csv"),
    "report.md",
)
FIGURES = ("figure1.png", "figure1.svg", "effects.png", "effects.svg", "report.html")


def write_report(found, out_dir):
    tables = [published.load("seed_table1")]
    gathered = document.gather(found, rule=FINAL, margin=0.5, published=tables)
    return report.write(gathered, out_dir, "python -m experiments.report")


def test_the_same_results_give_the_same_bytes_and_one_page(study, tmp_path):
    for name in ("first", "second"):
        write_report(study, tmp_path / name)
    names = [*FILES, *FIGURES]
    same = filecmp.cmpfiles(
        tmp_path / "first", tmp_path / "second", names, shallow=False
    )
    assert same == (names, [], [])
    page = (tmp_path / "first" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml;base64,") == 2
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("<table>") == page.count("</table>") > 5


def test_results_with_gaps_or_without_a_pair_still_give_a_report(tmp_path):
    folder = tmp_path / "results"
    write_run(folder, normalization="pretrain", seed=1)
    write_run(folder, normalization="finetune", seed=2)
    answer = write_report(results.read(folder), tmp_path)
    assert "nothing to compare" in answer
    assert not list(tmp_path.glob("effects.*"))
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Missing: 2 of 4 runs" in text
    assert "Differences between settings" not in text
    write_run(folder, normalization="finetune", seed=1)
    answer = write_report(results.read(folder), tmp_path)
    assert "a single pair of runs (1)" in answer
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Missing: 1 of 4 runs" in text
    assert "cifar10/resnet18-pretrain/seed-2" in text


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


def announced(printed):
    """Returns the names of the files that a report announced; all of them exist."""
    found = re.findall(r"/\S+\.(?:html|md|csv|png)", printed)
    assert all(pathlib.Path(name).exists() for name in found)
    return [pathlib.Path(name).name for name in found]


def test_files_are_announced_and_do_not_outlive_what_they_are_of(tmp_path):
    folder = tmp_path / "diagnoses" / "cifar10" / "resnet18"
    for dataset in ("cifar10", "cifar100"):
        for setting in ("finetune", "pretrain"):
            write_run(tmp_path / "both", dataset, normalization=setting)
    write_run(tmp_path / "one")
    prediction = {"training": "all", "displacement": 0, "points": 0, "margin": 1}
    diagnosis = {
        "data": "cifar10",
        "model": "resnet18 (file)",
        "treatment": "finetune",
        "predictions": [{**prediction, "take": None}],
    }
    folder.mkdir(parents=True)
    (folder / "explanation.json").write_text(json.dumps(diagnosis))
    printed = run_report(
        f"--results_dir={tmp_path / 'both'}",
        f"--out_dir={tmp_path}",
        f"--explanations={tmp_path / 'diagnoses'}",
    )
    assert "note: no diagnosis predicts 1 cell, left out" in printed
    assert announced(printed) == [
        "report.html",
        *("table1.md", "effects.csv", "calibration.csv", "runs.csv"),
        *("figure1.png", "effects.png", "calibration.png"),
    ]
    printed = run_report(f"--results_dir={tmp_path / 'one'}", f"--out_dir={tmp_path}")
    assert announced(printed) == [
        *("report.html", "table1.md", "runs.csv", "figure1.png")
    ]
    for name in ("effects", "calibration"):
        assert not list(tmp_path.glob(f"{name}.*"))


def test_a_folder_is_packed_by_a_flag_and_a_report_not_written_into_a_run(tmp_path):
    run, archive = write_run(tmp_path / "results"), tmp_path / "runs.zip"
    folder = f"--results_dir={tmp_path / 'results'}"
    assert run_report(folder, f"--pack={archive}") == f"1 run packed: {archive}\n"
    assert results.read(archive) == results.read(tmp_path / "results")
    done = programs.run("report", folder, f"--out_dir={run}")
    programs.assert_refused(done, "is a run's folder")


def test_the_committed_study_is_reproduced_by_its_command(tmp_path):
    text = (STUDY / "report.md").read_text(encoding="utf-8")
    command = re.search(r"python -m experiments\.report (.*)", text)[1]
    command = re.sub("--out_dir=.*", f"--out_dir={tmp_path}", command)
    run_report(*command.split())
    for name in FILES[:-1]:
        assert (tmp_path / name).read_bytes() == (STUDY / name).read_bytes(), name
    found = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert re.sub("--out_dir=.*", "", found) == re.sub("--out_dir=.*", "", text)
