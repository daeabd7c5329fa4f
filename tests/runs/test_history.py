"""history.csv, and the rules that choose one of its epochs."""

import pytest

from normtest_tf import errors
from normtest_tf.runs import RULES, history

ROWS = [
    {"epoch": 1, "train_accuracy": 0.1, "test_accuracy": 0.5, "seconds": 1.23456},
    {"epoch": 2, "train_accuracy": 0.2, "test_accuracy": 0.7, "seconds": 1.0},
    {"epoch": 3, "train_accuracy": 0.3, "test_accuracy": 0.7, "seconds": 1.0},
    {"epoch": 4, "train_accuracy": 1 / 3, "test_accuracy": 0.6, "seconds": 1.0},
]
VALIDATED = [
    {**row, "validation_accuracy": value}
    for row, value in zip(ROWS, [0.9, 0.1, 0.2, 0.3], strict=True)
]


def test_a_history_is_read_back_with_all_digits_of_computed_values(tmp_path):
    path = tmp_path / "history.csv"
    history.write(path, ROWS)
    assert history.read(path) == [{**ROWS[0], "seconds": 1.235}, *ROWS[1:]]
    header = path.read_text().splitlines()[0]
    assert header == "epoch,train_accuracy,test_accuracy,seconds"


@pytest.mark.parametrize("text", ["epoch,x\n1,one\n", "epoch,x\n1\n", "x\n1\n"])
def test_a_file_that_is_not_a_history_is_refused(tmp_path, text):
    path = tmp_path / "history.csv"
    with pytest.raises(errors.UsageError, match=r"history\.csv"):
        history.read(path)
    path.write_text(text)
    with pytest.raises(errors.UsageError, match=r"history\.csv"):
        history.read(path)


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
