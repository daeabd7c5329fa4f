"""The README's Python, run as it is written."""

import re

import keras
import numpy as np
import pytest

from tests.helpers import ROOT
from tests.training.test_classifier import build

# The weights that the README names would have to be downloaded.
OFFLINE = {'weights="tv_in1k"': "weights=None"}


def section(title):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, found, rest = text.partition(f"\n## {title}\n")
    assert found, title
    return rest.partition("\n## ")[0]


def python_blocks(text):
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_a_model_is_reused_as_the_readme_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_model = build()
    run_model.save("model.keras")
    generator = np.random.default_rng(0)
    names = {
        "images": generator.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8),
        "labels": np.arange(6) % 10,
    }
    load, extract, unfreeze = python_blocks(section("Use the model elsewhere"))
    for written, offline in OFFLINE.items():
        assert written in extract
        extract = extract.replace(written, offline)

    exec(load, names)
    assert len(load.strip().splitlines()) <= 4  # Three lines and an empty one.
    np.testing.assert_allclose(
        names["logits"], run_model.predict(names["images"], verbose=0), rtol=1e-5
    )

    exec(extract, names)
    backbone = names["backbone"]
    frozen = backbone.get_weights()
    assert len(names["mine"].trainable_variables) == 2
    names["mine"].fit(names["images"], names["labels"], verbose=0)
    for before, after in zip(frozen, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)

    exec(unfreeze, names)
    assert len(names["mine"].trainable_variables) > 2
    # Not all: a block's last batch norm starts from 0 and lets no gradient through.
    for before, after in list(zip(frozen, backbone.get_weights(), strict=True))[:5]:
        assert not np.array_equal(before, after)
    saved = keras.models.load_model("mine.keras")
    np.testing.assert_allclose(
        saved.predict(names["images"], verbose=0),
        names["mine"].predict(names["images"], verbose=0),
        rtol=1e-5,
    )


@pytest.mark.parametrize("program", ["export", "predict"])
def test_flags_in_the_readme_exist(program):
    text = section("Use the model elsewhere")
    source = (ROOT / "experiments" / f"{program}.py").read_text(encoding="utf-8")
    (command,) = re.findall(
        rf"python -m experiments\.{program}((?:[^\n]*\\\n)*[^\n]*)", text
    )
    flags = re.findall(r"--(\w+)=", command)
    assert flags
    for flag in flags:
        assert f'"{flag}"' in source
