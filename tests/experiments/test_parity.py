from experiments.support.parity import cases, checks, epoch, page
from tests.helpers import ROOT

PAGE = ROOT / "docs" / "parity.md"


def test_the_page_is_what_the_program_writes_except_for_numbers():
    # If this fails: python -m experiments.parity (needs PyTorch)
    text = PAGE.read_text(encoding="utf-8").partition(epoch.TITLE)[0]
    assert text.startswith(f"{page.HEAD}\nVersions: tensorflow ")
    lines = [line for line in text.splitlines() if line[:1] == "|"]
    head, dashes, *rows = [line.strip("| ").split(" | ") for line in lines]
    assert head[3:] == list(cases.NETWORKS)
    assert dashes == ["---"] * 7
    expected = [
        (check.title, f"{allowed:.0e}")
        for check in checks.CHECKS.values()
        if check.network == cases.NETWORKS[0]
        for allowed in check.tolerances.values()
    ]
    assert [(row[0], row[2]) for row in rows] == expected
    for _, _, allowed, *errors in rows:
        assert len(errors) == len(cases.NETWORKS)
        assert all(float(error) <= float(allowed) for error in errors)


def test_the_epoch_on_the_page_is_within_the_goal():
    section = PAGE.read_text(encoding="utf-8").partition(epoch.TITLE)[2]
    section = section.partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line[:1] == "|"][2:]
    assert [int(row[0].strip("| ")) for row in rows] == list(epoch.SHOWN_STEPS)
    assert all(float(row[2]) < 1e-6 for row in rows)


def test_an_epoch_that_differs_from_the_start_is_not_called_equal():
    for wrong, steps in (([2.0, 1.0], 0), ([1.0, float("nan")], 1), ([1.0, 1.0], 2)):
        section = epoch.section(wrong, [1.0, 1.0], [1.0, 1.0])
        assert f"1e-6 of PyTorch's for the first {steps} steps" in section


def test_a_backend_has_a_section_and_leaves_the_rest():
    rows = [
        page.Row("resnet18", "20 steps", "losses", 1e-12, 1e-8),
        page.Row("densenet121", "20 steps", "losses", 2e-7, 1e-8),
        page.Row("augmentation", "pixels", "pixels", 2e-7, 1e-6),
    ]
    old = page.page(rows, "keras 3", "", f"{epoch.TITLE}\n\nAs it was.\n")
    new = page.with_backend("jax", rows, "jax 0.1", old)
    assert new.startswith(f"{old}\n## With Keras on JAX\n")
    assert "| 20 steps | losses | 1e-08 | 1.0e-12 | 2.0e-07 **too large** |" in new
    assert page.with_backend("jax", rows, "jax 0.1", new) == new
