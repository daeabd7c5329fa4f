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


def blocks(language, text):
    pattern = rf"^```{language}\n(.*?)^```$"
    found = re.findall(pattern, text, re.MULTILINE | re.DOTALL)
    for written, run in (OFFLINE | SHORTER).items():
        found = [block.replace(written, run) for block in found]
    return found


def assert_predicts_alike(one, other):
    one, other = (model.predict(IMAGES, verbose=0) for model in (one, other))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def with_python(page):
    return page.name not in NOT_RUN and "```python" in page.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:skipped the classifier")
@pytest.mark.parametrize(
    "page", list(filter(with_python, PAGES)), ids=lambda page: page.name
)
def test_python_in_the_docs_runs_from_top_to_bottom(
    page, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plots").symlink_to(ROOT / "plots")
    of_a_run = small_classifier()
    of_a_run.save("model.keras")
    names = {"images": IMAGES, "labels": LABELS}
    for block in blocks("python", page.read_text(encoding="utf-8")):
        exec(block, names)
        if "logits = model.predict(images)" in block:
            assert_predicts_alike(names["model"], of_a_run)
        if "backbone.trainable = " in block:
            is_frozen = "backbone.trainable = False" in block
            assert (len(names["mine"].trainable_variables) == 2) == is_frozen
        if "backbone.trainable = False" in block:
            frozen = names["backbone"].get_weights()
            names["mine"].fit(IMAGES, LABELS, verbose=0)
            assert all(map(np.array_equal, frozen, names["backbone"].get_weights()))
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
        assert (done.returncode, done.stderr, done.heavy) == (0, "", [])
        known = {"flagfile", *re.findall(r"--(?:\[no\])?(\w+):", done.stdout)}
        assert flags <= known, program
