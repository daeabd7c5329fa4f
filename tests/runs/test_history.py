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


def test_a_history_is_read_back_with_all_digits_of_computed_values(tmp_path):
    path = tmp_path / "history.csv"
    history.write(path, ROWS)
    assert history.read(path) == [{**ROWS[0], "seconds": 1.235}, *ROWS[1:]]
    header = path.read_text().splitlines()[0]
    assert header == ",".join(ROWS[0])


@pytest.fixture
def path(tmp_path):
    """The file of a history with validation images."""
    history.write(tmp_path / "history.csv", VALIDATED)
    return tmp_path / "history.csv"


HARMLESS = {
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "CR": lambda data: data.replace(b"\n", b"\r"),
    "no last line end": lambda data: data.rstrip(),
    "blank lines": lambda data: data.replace(b"\n", b"\n\n") + b" \n\n",
    "empty cells below": lambda data: data + b",,,,,,,,,\n,,,\n",
    "quotes": lambda data: re.sub(rb"[^,\n]+", rb'"\g<0>"', data),
    "spaces": lambda data: data.replace(b",", b" , "),
    "epochs with a point": lambda data: re.sub(rb"(?m)^(\d),", rb"\1.0,", data),
}


@pytest.mark.parametrize("how", HARMLESS)
def test_what_editors_do_to_a_history_is_harmless(path, how):
    path.write_bytes(HARMLESS[how](path.read_bytes()))
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


SPREADSHEET = "was it saved by a spreadsheet"
REFUSED = {
    "nan": (cell("test_loss", "nan"), "line 3 holds test_loss='nan', not a finite"),
    "NaN": (cell("seconds", "NaN"), "line 3 holds seconds='NaN', not a finite"),
    "inf": (cell("train_loss", "-inf", 2), "line 2 holds train_loss='-inf'"),
    "1e999": (cell("train_loss", "1e999"), "train_loss='1e999', not a finite"),
    "empty cell": (cell("test_accuracy", "", 5), "line 5 lacks test_accuracy"),
    "text": (cell("test_accuracy", "high"), "test_accuracy='high', not a finite"),
    "%": (cell("test_accuracy", "70%"), "test_accuracy='70%', not a finite"),
    "1_0": (cell("seconds", "1_0"), "seconds='1_0'"),
    "digits": (cell("seconds", "\uff11"), "seconds='\uff11'"),
    "#REF!": (cell("seconds", "#REF!"), "seconds='#REF!'"),
    "percentage": (cell("test_accuracy", "70.0"), "=70.0, which looks like a perc"),
    "percentages": (cell("validation_accuracy", "10.0"), "=10.0, which looks like"),
    "negative": (cell("train_accuracy", "-0.1"), "train_accuracy=-0.1, not a number"),
    "epoch 1.5": (cell("epoch", "1.5"), "epoch 1.5 comes where epoch 2 should"),
    "epoch 0": (cell("epoch", "0", 2), "epoch 0 comes where epoch 1 should"),
    "repeated row": (
        each_line(lambda a: [*a[:3], *a[2:]]),
        "epoch 2 comes where epoch 3",
    ),
    "lost row": (each_line(lambda a: [*a[:2], *a[3:]]), "epoch 3 comes where epoch 2"),
    "sorted": (each_line(lambda a: [a[0], *a[:0:-1]]), "epoch 4 comes where epoch 1"),
    "header twice": (each_line(lambda a: [*a, a[0]]), "line 6 holds epoch='epoch'"),
    "no rows": (each_line(lambda a: a[:1]), "it holds no epoch"),
    "no header": (each_line(lambda a: a[1:]), "it lacks 'epoch', 'learning_rate'"),
    "cut row": (
        lambda text: text[:-30],
        "line 5 has 4 cells, not 10 .was the copy cut",
    ),
    "long row": (lambda text: text[:-1] + ",1\n", "line 5 has 11 cells, not 10"),
    "missing column": (lambda text: text.replace("seconds", "time"), "lacks 'seconds'"),
    "half validation": (
        lambda text: text.replace("validation_loss", "loss"),
        "lacks 'validation_loss'",
    ),
    "index column": (
        each_line(lambda a: [f"{i or ''},{line}" for i, line in enumerate(a)]),
        "unknown columns: ''",
    ),
    "column twice": (each_line(lambda a: [f"{x},{x[0]}" for x in a]), "unknown.*'e'"),
    "seconds twice": (
        each_line(lambda a: [x + (",1" if i else ",seconds") for i, x in enumerate(a)]),
        "repeats 'seconds'",
    ),
    "semicolons": (lambda text: text.replace(",", ";"), f"semicolons.*{SPREADSHEET}"),
    "decimal commas": (
        lambda text: text.replace(",", ";").replace(".", ","),
        f"semicolons.*{SPREADSHEET}",
    ),
    "tabs": (lambda text: text.replace(",", "\t"), f"tabs.*{SPREADSHEET}"),
    "open quote": (lambda text: text.replace("1,", '"1,', 1), "unexpected end"),
    "empty": (lambda text: "", "it is empty"),
    "web page": (lambda text: "<html></html>", "a web page"),
    "blank": (lambda text: "\n\n", "lacks 'epoch'"),
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
    assert len(str(caught.value).splitlines()) == 1
    if how != "web page":
        assert str(caught.value).endswith("run again with --overwrite")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_history_in_another_encoding_is_refused(path, encoding):
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    with pytest.raises(errors.UsageError, match="UTF-16 text, not UTF-8"):
        history.read(path)


def test_a_missing_history_is_refused(tmp_path):
    with pytest.raises(errors.UsageError, match=r"history\.csv: No such file.*restore"):
        history.read(tmp_path / "history.csv")


@pytest.mark.parametrize(
    ("rule", "epoch"), [("final", 4), ("best_test", 2), ("best_validation", 1)]
)
def test_each_rule_chooses_the_first_of_equal_epochs(rule, epoch):
    assert RULES[rule].choose(VALIDATED)["epoch"] == epoch


def test_a_rule_without_its_column_chooses_nothing():
    assert RULES["best_validation"].choose(ROWS) is None


def test_the_summary_applies_every_applicable_rule():
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
