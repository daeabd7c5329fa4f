"""The program that explains a choice before training."""

import json

from tests.helpers import programs


def test_it_prints_and_writes_the_diagnosis_and_the_shift(tmp_path):
    done = programs.run(
        "explain",
        "--dataset=digits",
        "--model=cifar_resnet8",
        "--examples=70",
        "--normalizations=pretrain,finetune",
        "--shift=contrast:0.50",
        f"--out_dir={tmp_path}/out",
    )
    assert done.returncode == 0, done.stderr
    assert "What to expect of finetune instead of pretrain" in done.stdout
    out = tmp_path / "out"
    written = {path.name for path in out.iterdir()}
    pages = {"explanation.html", "explanation.json"}
    assert written == pages | {"distances.png", "distances.svg"}
    found = json.loads((out / "explanation.json").read_text())
    assert found["images"] == 70
    assert found["data"] == "digits+contrast_0.5"
    assert found["shift"] == "contrast:0.5"
    page = (out / "explanation.html").read_text()
    assert "data:image/svg+xml" in page
    assert found["model"] in page
