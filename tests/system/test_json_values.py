"""Values read from JSON files: checked, with errors that name file and value."""

import pathlib

import pytest

from normtest_tf import errors
from normtest_tf.system.json_values import (
    JsonReader,
    is_accuracy,
    not_an_accuracy,
    parse,
)

VALUES = {
    "epoch": 3,
    "rate": 0.5,
    "flag": True,
    "nothing": None,
    "mean": [1, 2.0, 3],
    "inner": {"epoch": 1},
}


@pytest.fixture
def read():
    return JsonReader(VALUES, pathlib.Path("result.json"))


def test_values_of_the_allowed_types_are_returned(read):
    assert read("epoch", int) == 3
    assert read("rate", int, float) == 0.5
    assert read("flag", bool) is True
    assert read("nothing", str, default=None) is None
    assert read("absent", int, default=7) == 7
    assert read.accuracy("rate") == 0.5
    assert read.three("mean", int, float) == (1, 2.0, 3)
    assert read.mapping("inner", {"epoch": (int,)}) == {"epoch": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda read: read("absent", int),
        lambda read: read("rate", int),
        lambda read: read("flag", int),  # To Python, True is an int.
        lambda read: read("nothing", int),
        lambda read: read.accuracy("epoch"),
        lambda read: read.three("mean", int),
        lambda read: read.three("rate", float),
        lambda read: read.mapping("inner", {"epoch": (str,)}),
        lambda read: read.mapping("inner", {"absent": (int,)}),
    ],
)
def test_other_values_are_refused_in_a_line_that_names_the_file(read, wrong):
    with pytest.raises(errors.UsageError, match=r"^result\.json (lacks|holds) "):
        wrong(read)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, True), (1.0, True), (0.5, True), (1.1, False), (-1, False), (True, False)],
)
def test_an_accuracy_is_a_number_from_0_to_1(value, expected):
    assert is_accuracy(value) == expected
    assert not is_accuracy(float("nan"))
    assert not is_accuracy("0.5")


def test_a_percentage_is_named_as_one():
    assert "81.3, which looks like a percentage" in not_an_accuracy(81.3)
    for value in (-0.1, 100.1, 10**400, True, None, "81.3", [50]):
        assert "percentage" not in not_an_accuracy(value)
    assert not_an_accuracy("0.5") == "'0.5', not a number from 0 to 1"


def test_json_is_parsed():
    assert parse(' {"a": [1, 2.5e-3, null, true, "NaN"]}\n') == {
        "a": [1, 0.0025, None, True, "NaN"]
    }


COMPLETE = """{
  "a": {"b": 1},
  "c": [true, 0.25, "d"]
}"""


@pytest.mark.parametrize("length", range(1, len(COMPLETE)))
def test_json_that_was_cut_off_anywhere_is_named_so(length):
    line = COMPLETE[:length].rstrip().count("\n") + 1
    with pytest.raises(
        ValueError, match=f"not complete JSON, it ends in line {line} .was"
    ):
        parse(COMPLETE[:length])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (COMPLETE.replace("0.25", "0,25,"), "it is not JSON, line 3: .*was it edited"),
        (COMPLETE + "x", "it is not JSON, line 4: Extra data"),
        (COMPLETE.replace('"', "'"), "it is not JSON, line 2: "),
        ('{"a": NaN}', "it holds NaN, which is no number"),
        ('{"a": [-Infinity]}', "it holds -Infinity, which is no number"),
        ('{"a": 1e999}', "it holds 1e999, which is infinite"),
        ('{"a": {"b": 1, "c": 2, "b": 1}}', "it holds 'b' twice"),
        ("[" * 200_000, "it is nested too deeply"),
    ],
)
def test_json_that_was_edited_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)
