import json

import pytest

from experiments.support.parity import checks, epoch, page
from tests.helpers import ROOT, programs

PAGE = ROOT / "docs" / "parity.md"


def test_a_dry_run_names_the_checks_of_a_network():
    done = programs.run("parity", "--models=resnet18", "--dry_run")
    assert done.returncode == 0
    names = done.stdout.split()
    assert "resnet18-training" in names
    assert "pixels" in names
    assert set(names) < set(checks.CHECKS)


def test_networks_without_checks_are_refused():
    done = programs.run("parity", "--models=resnet34")
    programs.assert_refused(done, "Allowed: resnet18, resnet50")


def test_a_whole_epoch_on_another_backend_is_refused():
    pytest.importorskip("jax")
    done = programs.run("parity", "--backend=jax", "--data_dir=missing")
    programs.assert_refused(done, "on TensorFlow alone; omit --data_dir")


FIXED_TEXT = """
import json
from experiments import parity
print(json.dumps([parity.page.HEAD, parity.COLUMNS]))
"""


def test_the_page_is_what_the_program_writes_but_for_numbers():
    # If this fails: python -m experiments.parity (needs PyTorch)
    head, columns = json.loads(programs.run_code(FIXED_TEXT).stdout)
    page = PAGE.read_text(encoding="utf-8")
    assert page.startswith(f"{head}\nVersions: tensorflow ")
    _, dashes, *rows = [
        line.strip("| ").split(" | ")
        for line in page.partition(epoch.TITLE)[0].splitlines()
        if line[:1] == "|"
    ]
    assert dashes == ["---"] * 5
    expected = [
        [check.title, columns[group], f"{allowed:.0e}"]
        for check in checks.CHECKS.values()
        for group, allowed in check.tolerances.items()
    ]
    assert [[title, of, allowed] for _, title, of, _, allowed in rows] == expected
    assert all(float(error) <= float(allowed) for *_, error, allowed in rows)


def test_the_epoch_on_the_page_is_within_the_goal():
    section = PAGE.read_text(encoding="utf-8").partition(epoch.TITLE)[2]
    section = section.partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line[:1] == "|"][2:]
    assert [int(row[0].strip("| ")) for row in rows] == list(epoch.SHOWN_STEPS)
    assert all(float(row[2]) < 1e-6 for row in rows)


def test_an_epoch_is_described_with_the_errors_of_both():
    theirs = [2.0, 1.0, 0.5]
    text = epoch.section([2.0, 1.0 + 1e-9, 0.5 + 1e-6], theirs, [2.0, 1.0, 0.5])
    assert (
        "within\n1e-6 of PyTorch's for the first 2 steps, PyTorch's own for the" in text
    )
    assert "| 1 | 2.000000 | 0.0e+00 | 0.0e+00 |" in text
    assert "| 3 | 0.500000 | 2.0e-06 | 0.0e+00 |" in text


ROWS = [
    page.Row("resnet18", "20 steps", "losses", 1e-12, 1e-8),
    page.Row("densenet121", "20 steps", "losses", 2e-12, 1e-8),
]


def test_a_backend_has_a_section_with_the_worst_network_and_leaves_the_rest():
    old = page.page(ROWS, "keras 3", "", f"{epoch.TITLE}\n\nAs it was.\n")
    new = page.with_backend("jax", ROWS, "jax 0.1", old)
    assert new.startswith(old)
    title, _, command, *_ = new.removeprefix(old).strip().split("\n\n")
    assert title == "## With Keras on JAX"
    assert command.endswith("parity --backend=jax --models=resnet18,densenet121")
    assert "| 20 steps | losses | 2.0e-12 | densenet121 | 1e-08 |" in new
    assert page.with_backend("jax", ROWS, "jax 0.1", new) == new
    # TensorFlow's comparison keeps the section, too.
    assert page.page(ROWS, "keras 3", new) == new
    renewed = page.page(ROWS, "keras 3", new, f"{epoch.TITLE}\n\nAnew.\n")
    assert renewed == new.replace("As it was.", "Anew.")


def test_a_backend_without_the_accuracy_is_marked():
    bad = [*ROWS, page.Row("resnet18", "20 steps", "losses", 1e-7, 1e-8)]
    assert "1.0e-07 **too large**" in page.with_backend("torch", bad, "", "")
