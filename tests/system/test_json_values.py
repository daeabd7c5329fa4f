"""Values read from JSON files: checked, with errors that name file and value."""

import pathlib

import pytest

from normtest_tf import errors
from normtest_tf.system.json_values import JsonReader, is_accuracy

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
