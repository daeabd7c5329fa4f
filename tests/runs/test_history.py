"""history.csv, and the rules that choose one of its epochs."""

import re

import pytest

from normtest_tf import errors
from normtest_tf.runs import RULES, history

ROWS = [
    {
        "epoch": epoch,
        "learning_rate": 0.001,
        "train_loss": 1 / 7,
        "train_accuracy": train,
        "test_loss": 2.5,
        "test_accuracy": test,
        "seconds": 1.23456 if epoch == 1 else 1.0,
        "images_per_second": 100.0,
    }
    for epoch, train, test in (
        (1, 0.1, 0.5),
        (2, 0.2, 0.7),
        (3, 0.3, 0.7),
        (4, 1 / 3, 0.6),
    )
]
VALIDATED = [
    {**row, "validation_loss": 3.0, "validation_accuracy": value}
    for row, value in zip(ROWS, [0.9, 0.1, 0.2, 0.3], strict=True)
]


@pytest.fixture
def path(tmp_path):
    """The file of a history with validation images."""
    history.write(tmp_path / "history.csv", VALIDATED)
    return tmp_path / "history.csv"


@pytest.mark.parametrize("rows", [ROWS, VALIDATED])
def test_a_history_is_read_back_with_all_digits_of_computed_values(tmp_path, rows):
    path = tmp_path / "history.csv"
    history.write(path, rows)
    assert history.read(path) == [{**rows[0], "seconds": 1.235}, *rows[1:]]
    assert path.read_text().splitlines()[0] == ",".join(rows[0])


def test_what_editors_do_to_a_history_is_harmless(path):
    data = path.read_bytes()
    for edited in (
        b"\xef\xbb\xbf" + data,
        data.replace(b"\n", b"\r\n"),
        data.rstrip(),
        data.replace(b"\n", b"\n\n"),
        re.sub(rb"[^,\n]+", rb'"\g<0>"', data),
    ):
        path.write_bytes(edited)
        rows = history.read(path)
        assert rows == [{**VALIDATED[0], "seconds": 1.235}, *VALIDATED[1:]]
        assert all(isinstance(row["epoch"], int) for row in rows)


def cell(column, value, line=3):
    """Returns an edit that sets one cell; the header is line 1."""

    def edit(text):
        lines = [row.split(",") for row in text.splitlines()]
        lines[line - 1][lines[0].index(column)] = value
        return "".join(",".join(cells) + "\n" for cells in lines)

    return edit


def each_line(edit):
    """Returns an edit of the lines of a text."""
    return lambda text: "".join(f"{line}\n" for line in edit(text.splitlines()))


ORDER = "epochs are not 1 to n"
REFUSED = {
    "nan": (cell("test_loss", "nan"), r"\$\[1\]"),
    "inf": (cell("train_loss", "-inf", 2), r"\$\[0\]"),
    "1e999": (cell("train_loss", "1e999"), r"\$\[1\]"),
    "empty cell": (cell("test_accuracy", "", 5), r"\$\[3\]"),
    "text": (cell("test_accuracy", "high"), r"\$\[1\]"),
    "percentage": (cell("test_accuracy", "70.0"), r"<= 1.0 - at `\$\[1\]"),
    "negative": (cell("train_accuracy", "-0.1"), r">= 0.0 - at `\$\[1\]"),
    "epoch 1.5": (cell("epoch", "1.5"), r"\$\[1\]"),
    "repeated row": (each_line(lambda a: [*a[:3], *a[2:]]), ORDER),
    "lost row": (each_line(lambda a: [*a[:2], *a[3:]]), ORDER),
    "sorted": (each_line(lambda a: [a[0], *a[:0:-1]]), ORDER),
    "header twice": (each_line(lambda a: [*a, a[0]]), r"\$\[4\]"),
    "no rows": (each_line(lambda a: a[:1]), ORDER),
    "cut row": (lambda text: text[:-30], r"\$\[3\]"),
    "long row": (lambda text: text[:-1] + ",1\n", r"\$\[3\]|key"),
    "missing column": (lambda text: text.replace("seconds", "time"), "seconds"),
    "semicolons": (lambda text: text.replace(",", ";"), "missing required field"),
    "open quote": (lambda text: text.replace("1,", '"1,', 1), "unexpected end"),
    "empty": (lambda text: "", "it is empty"),
    "web page": (lambda text: "<html></html>", "a web page"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_history_that_was_edited_is_refused_in_one_line(path, how):
    edit, message = REFUSED[how]
    text = path.read_text(encoding="utf-8")
    path.write_text(edit(text), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    with pytest.raises(errors.UsageError, match=message) as caught:
        history.read(path)
    assert str(caught.value).startswith(f"can't read {path}: ")
    assert str(caught.value).endswith("run again with --overwrite")
    assert len(str(caught.value).splitlines()) == 1


def test_the_summary_applies_every_applicable_rule():
    assert RULES["best_validation"].choose(ROWS) is None
    assert history.summarise(ROWS) == {
        "best_epoch": 2,
        "best_test_accuracy": 0.7,
        "final_epoch": 4,
        "final_test_accuracy": 0.6,
        "final_train_accuracy": 1 / 3,
    }
    assert history.summarise(VALIDATED) == history.summarise(ROWS) | {
        "best_validation_epoch": 1,
        "best_validation_accuracy": 0.9,
        "best_validation_test_accuracy": 0.5,
    }
