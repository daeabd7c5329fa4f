"""The program that explains a choice before training."""

import json

from tests.helpers import programs

FLAGS = ("--dataset=digits", "--model=cifar_resnet8", "--examples=70")


def test_it_prints_and_writes_the_diagnosis(tmp_path):
    done = programs.run("explain", *FLAGS, f"--out_dir={tmp_path}/out")
    assert done.returncode == 0, done.stderr
    assert "What to expect of finetune instead of pretrain" in done.stdout
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {
        "explanation.html",
        "explanation.json",
        "distances.png",
        "distances.svg",
    }
    found = json.loads((tmp_path / "out" / "explanation.json").read_text())
    assert found["images"] == 70
    page = (tmp_path / "out" / "explanation.html").read_text()
    assert "data:image/svg+xml" in page
    assert found["model"] in page


def test_the_diagnosis_records_the_shift(tmp_path):
    flags = ("--normalizations=pretrain,finetune", "--shift=contrast:0.50")
    done = programs.run("explain", *FLAGS, *flags, f"--out_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "explanation.json").read_text())
    assert found["data"] == "digits+contrast_0.5"
    assert found["shift"] == "contrast:0.5"


def test_bad_flags_are_refused_in_one_line(tmp_path):
    out = f"--out_dir={tmp_path}/out"
    done = programs.run("explain", *FLAGS, "--normalizations=finetun", out)
    programs.assert_refused(done, "Did you mean 'finetune'?")
    done = programs.run("explain", "--normalizations=finetune_folded", out)
    programs.assert_refused(done, "changes the network")
