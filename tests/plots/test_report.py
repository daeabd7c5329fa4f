"""A report as a whole: its files, and its text where runs are missing."""

import dataclasses
import pathlib
import re

from normtest_tf.analysis import published, results
from normtest_tf.normalization import SETTINGS
from normtest_tf.report import document
from normtest_tf.runs.folder import FINAL
from plots import report, style
from tests.helpers import ROOT, programs
from tests.helpers.fake_results import write_run, write_study

STUDY = ROOT / "plots" / "studies" / "cpu"
FILES = (
    *("table1.md", "table1.csv", "table1.tex", "effects.csv", "effects.tex"),
    *("data_sets.csv", "runs.csv"),
)


def write_report(found, out_dir):
    tables = [published.load("seed_table1")]
    gathered = document.gather(found, rule=FINAL, margin=0.5, published=tables)
    return report.write(gathered, out_dir, "python -m experiments.report")


def test_a_report_without_a_pair_replaces_one_with_one(tmp_path):
    for setting in ("pretrain", "finetune"):
        write_run(tmp_path / "pair", normalization=setting)
    answer = write_report(results.read(tmp_path / "pair"), tmp_path)
    assert "a single pair of runs can't" in answer
    assert len(list(tmp_path.glob("effects.*"))) == 4
    for seed, setting in enumerate(("pretrain", "finetune")):
        write_run(tmp_path / "none", normalization=setting, seed=seed)
    answer = write_report(results.read(tmp_path / "none"), tmp_path)
    assert "nothing to compare" in answer
    assert not list(tmp_path.glob("effects.*"))
    constraints = (tmp_path / "constraints.txt").read_text(encoding="utf-8")
    assert constraints == "keras==3.15.1\ntensorflow==2.21.0\n"
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Missing: 2 of 4 runs" in text
    assert "Differences between settings" not in text


def test_a_new_setting_appears_everywhere(tmp_path, monkeypatch):
    halved = dataclasses.replace(SETTINGS["minmax"], name="halved", formula="x / 2")
    monkeypatch.setitem(SETTINGS, "halved", halved)
    write_study(tmp_path / "results", [("cifar10", "resnet18")], seeds=2)
    for seed in range(2):
        write_run(tmp_path / "results", normalization="halved", seed=seed)
    write_report(results.read(tmp_path / "results"), tmp_path)
    for name in FILES:
        assert "halved" in (tmp_path / name).read_text(encoding="utf-8"), name
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "### halved - pretrain" in text
    assert "- `halved`: x / 2." in text
    for name in ("figure1.svg", "effects.svg"):
        drawn = (tmp_path / name).read_text(encoding="utf-8").lower()
        assert style.color("halved").lower() in drawn, name
    # The page refers to no other file.
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml;base64,") == 2
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("<table>") == page.count("</table>") > 5


def run_report(*flags):
    done = programs.run("report", *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_folder_is_packed_by_a_flag_and_a_report_not_written_into_a_run(tmp_path):
    write_run(tmp_path / "results")
    archive = tmp_path / "runs.zip"
    folder = f"--results_dir={tmp_path / 'results'}"
    assert run_report(folder, f"--pack={archive}") == f"1 run packed: {archive}\n"
    assert results.read(archive) == results.read(tmp_path / "results")


def test_the_committed_study_is_reproduced_by_its_command(tmp_path):
    text = (STUDY / "report.md").read_text(encoding="utf-8")
    command = re.search(r"python -m experiments\.report (.*)", text)[1]
    command = re.sub("--out_dir=.*", f"--out_dir={tmp_path}", command)
    printed = run_report(*command.split(), "--pdf")
    assert (tmp_path / "effects.pdf").exists()
    announced = re.findall(r"/\S+\.(?:html|md|csv|png)", printed)
    assert len(announced) == 6
    assert all(pathlib.Path(name).exists() for name in announced)
    for name in (*FILES, "policies.csv"):
        assert (tmp_path / name).read_bytes() == (STUDY / name).read_bytes(), name
    found = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert re.sub("--out_dir=.*", "", found) == re.sub("--out_dir=.*", "", text)
    assert f"{command} --pdf\n" in found
