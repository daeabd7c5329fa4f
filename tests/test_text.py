"""Tables, durations and signed numbers as text."""

import csv
import io

import pytest

from normtest_tf import text


def test_markdown_and_latex_escape_what_is_special():
    table = text.latex_table([("a_b", "c"), (r"\x&~", "**-1.5 ± 0.2** (a-1)")])
    assert table.splitlines()[1:] == [
        r"\begin{tabular}{ll}",
        r"\toprule",
        r"a\_b & c \\",
        r"\midrule",
        r"\textbackslash{}x\&\textasciitilde{} & \textbf{$-$1.5 $\pm$ 0.2} (a-1) \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    table = text.markdown_table([("a", "b"), ("x|y", "1")])
    assert table.splitlines() == ["| a | b |", "| --- | --- |", "| x\\|y | 1 |"]


def test_csv_quotes_rounds_and_leaves_missing_numbers_empty():
    rows = [
        {"name": "a,b", "value": 1 / 3, "n": 5},
        {"name": None, "value": float("nan"), "n": 10_000_000},
    ]
    content = text.csv_text(rows)
    assert content.startswith("name,value,n\n")
    assert list(csv.reader(io.StringIO(content)))[1:] == [
        ["a,b", "0.333333", "5"],
        ["", "", "10000000"],
    ]


def test_names_are_shown_on_one_line_of_valid_unicode():
    assert text.shown("käse 猫.png") == "käse 猫.png"
    assert text.shown("a\udcff\n.png") == "a\\udcff\\n.png"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(41.4, "41 s"), (100, "2 min"), (6000, "1 h 40 min"), (12_000, "3 h 20 min")],
)
def test_a_duration_has_the_unit_that_people_would_use(seconds, expected):
    assert text.duration(seconds) == expected


@pytest.mark.parametrize(
    ("points", "expected"),
    [(0.314, "+0.31"), (-2, "-2.00"), (0, "+0.00"), (-0.004, "+0.00")],
)
def test_points_have_a_sign_and_zero_is_never_negative(points, expected):
    assert text.signed(points) == expected
