"""MODEL=WEIGHTS, with paths on both sides that may have equals signs in them."""

import pytest

from experiments.support import assignments
from normtest_tf import errors

FILE = "/nets/a=b,c/x.keras"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("none", (None, "none")),
        ("/a=b/w.h5", (None, "/a=b/w.h5")),
        ("/runs/model.keras", (None, "/runs/model.keras")),
        ("resnet18=none", ("resnet18", "none")),
        ("resnet18=/a=b/w.h5", ("resnet18", "/a=b/w.h5")),
        ("resnet18=/a=b/w.keras", ("resnet18", "/a=b/w.keras")),
        (f"{FILE}=none", (FILE, "none")),
        ("other.keras=none", ("other.keras", "none")),
        ("resnet19=none", (None, "resnet19=none")),
    ],
)
def test_a_value_is_split_behind_the_model(value, expected):
    assert assignments.split(value, ["resnet18", FILE]) == expected
    assert assignments.split(value) == expected


def test_a_model_that_was_asked_for_comes_first():
    longer = "a.keras=b.keras"
    assert assignments.split(f"{longer}=none") == ("a.keras", "b.keras=none")
    assert assignments.split(f"{longer}=none", [longer]) == (longer, "none")


def test_weights_are_for_all_models_or_for_each():
    models = ["resnet18", FILE]
    weights = assignments.weights_by_model
    assert weights([], models) == {"resnet18": None, FILE: None}
    assert weights(["none"], models) == {"resnet18": "none", FILE: "none"}
    assert weights([f"{FILE}=none", "resnet18=tv_in1k"], models) == {
        "resnet18": "tv_in1k",
        FILE: "none",
    }


@pytest.mark.parametrize(
    "values", [["other.keras=none"], [f"{FILE}="], [f"{FILE}=none"] * 2, ["none"] * 2]
)
def test_other_values_are_refused(values):
    with pytest.raises(errors.UsageError, match="MODEL=WEIGHTS at most once"):
        assignments.weights_by_model(values, ["resnet18", FILE])
