import dataclasses

import pytest

from normtest_tf.runs import options
from normtest_tf.runs.options import Option


@pytest.mark.parametrize(
    ("about", "allowed", "refused", "words"),
    [
        (Option("?", choices=("a", "b")), ["a", None], ["c"], "must be one of a, b"),
        (Option("?", low=1), [1, 9, None], [0], "must be at least 1"),
        (Option("?", low=0, high=9), [0, 9], [-1, 10], "at least 0, and at most 9"),
        (Option("?", positive=True), [0.1], [0, float("nan")], "must be positive"),
        (Option("?"), [True, "any", -1, (1, 2)], [], None),
    ],
)
def test_limits_are_enforced_and_put_into_words(about, allowed, refused, words):
    assert all(about.allows(value) for value in allowed)
    assert not any(about.allows(value) for value in refused)
    if words:
        assert words in about.range_in_words()


def test_a_field_keeps_its_default_and_its_option():
    @dataclasses.dataclass
    class Config:
        epochs: int = options.option(7, "Passes.", low=1)

    (field,) = dataclasses.fields(Config)
    assert Config().epochs == 7
    assert options.get(field) == Option("Passes.", low=1)
