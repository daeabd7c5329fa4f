"""The code and the commands in README.md and docs/, run as they are written."""

import json
import re
import sys

import keras
import numpy as np
import pytest

from tests.helpers import ROOT, programs
from tests.training.helpers import small_classifier

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"
# The weights that they name would have to be downloaded.
OFFLINE = {'weights="tv_in1k"': "weights=None"}
SHORTER = {"epochs=8": "epochs=1", "(1, 2, 3)": "(1,)", "ResNet18": "CifarResNet8"}
# Their code needs exported files; tests/export loads these likewise.
NOT_RUN = {"export.md"}
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(6) % 10


def section(title):
    """Returns a section of the README."""
    _, found, rest = README.read_text(encoding="utf-8").partition(f"\n## {title}\n")
    assert found, title
    return rest.partition("\n## ")[0]


def blocks(language, text):
    pattern = rf"^```{language}\n(.*?)^```$"
    found = re.findall(pattern, text, re.MULTILINE | re.DOTALL)
    for written, run in (OFFLINE | SHORTER).items():
        found = [block.replace(written, run) for block in found]
    return found


def assert_predicts_alike(one, other):
    one, other = (model.predict(IMAGES, verbose=0) for model in (one, other))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_model_is_reused_as_the_readme_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_model = small_classifier()
    run_model.save("model.keras")
    names = {"images": IMAGES, "labels": LABELS}
    text = section("Use the model elsewhere")
    assert all(written in text for written in OFFLINE)
    load, extract = blocks("python", text)

    exec(load, names)
    assert len(load.strip().splitlines()) <= 4  # Three lines and an empty one.
    np.testing.assert_allclose(
        names["logits"], run_model.predict(IMAGES, verbose=0), rtol=1e-5
    )

    exec(extract, names)
    backbone = names["backbone"]
    frozen = backbone.get_weights()
    assert len(names["mine"].trainable_variables) == 2
    names["mine"].fit(IMAGES, LABELS, verbose=0)
    for before, after in zip(frozen, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def with_python(page):
    return page.name not in NOT_RUN and "```python" in page.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:skipped the classifier")
@pytest.mark.parametrize(
    "page", list(filter(with_python, PAGES[1:])), ids=lambda page: page.name
)
def test_python_in_the_docs_runs_from_top_to_bottom(
    page, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plots").symlink_to(ROOT / "plots")
    small_classifier().save("model.keras")
    names = {"images": IMAGES, "labels": LABELS}
    for block in blocks("python", page.read_text(encoding="utf-8")):
        exec(block, names)
        if "backbone.trainable = " in block:
            is_frozen = "backbone.trainable = False" in block
            assert (len(names["mine"].trainable_variables) == 2) == is_frozen
        if 'mine.save("mine.keras")' in block:
            assert_predicts_alike(keras.models.load_model("mine.keras"), names["mine"])
    if page.name == "measurements.md":
        table = README.read_text(encoding="utf-8").partition("|---")[2]
        claimed = table.partition("\n\n")[0].splitlines()[1:]
        assert capsys.readouterr().out.splitlines() == claimed


def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("sys.path", [*sys.path])
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]  # They would name somebody's folders.
            (code,) = blocks("python", f"```python\n{''.join(cell['source'])}\n```\n")
            exec(code, names)
    assert "finetune - pretrain" in capsys.readouterr().out


def commands():
    """Returns the flags that pages pass to each program."""
    found = {}
    for page in PAGES:
        text = "\n".join(blocks("bash", page.read_text(encoding="utf-8")))
        text = text.replace("\\\n", " ")
        for program, rest in re.findall(r"python -m experiments\.(\w+)(.*)", text):
            found.setdefault(program, set()).update(re.findall(r"--(\w+)", rest))
    return found


def test_flags_in_the_docs_exist():
    used = commands()
    shown = programs.run_all([[program, "--helpfull"] for program in used])
    for (program, flags), done in zip(used.items(), shown, strict=True):
        known = {"flagfile", *re.findall(r"--(?:\[no\])?(\w+):", done.stdout)}
        assert flags <= known, program


def test_the_readme_shows_the_main_programs():
    shown = README.read_text(encoding="utf-8")
    for program in ("quickstart", "train", "sweep", "report", "export", "predict"):
        assert f"python -m experiments.{program}" in shown
