"""Errors as one line, and their first cause."""

from normtest_tf import errors


def test_one_line_folds_white_space_and_names_an_error_without_a_message():
    assert errors.one_line(ValueError("a\n  b\tc")) == "a b c"
    assert errors.one_line(ValueError()) == "ValueError"


def test_the_first_cause_is_at_the_end_of_the_chain():
    error = RuntimeError("max retries")
    error.__cause__ = ValueError("unreachable")
    error.__cause__.__context__ = OSError("no route to host")
    assert errors.first_cause(error) == "no route to host"
    assert errors.first_cause(OSError("a" * 300)) == "a" * 200
