"""Errors: one line each, and unchanged by pickling."""

import pickle

import pytest

from normtest_tf import errors


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.Locked("busy"), ["busy"]),
        (errors.WorkerDied(), ["worker process died", "lack of memory"]),
        (
            errors.TrainingFailed("train_loss", 3, 2, 0.1),
            ["train_loss", "step 2 of epoch 3", "last good epoch is 2", "--precision"],
        ),
        (
            errors.TrainingFailed(what="train_loss", epoch=1, step=2, rate=0.1),
            ["last good epoch is none"],
        ),
    ],
)
def test_a_message_is_one_line_that_survives_pickling(error, words):
    message = str(error)
    assert "\n" not in message
    assert all(word in message for word in words)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == message
    assert vars(copy) == vars(error)


def test_one_line_folds_white_space_and_names_an_error_without_a_message():
    assert errors.one_line(ValueError("a\n  b\tc")) == "a b c"
    assert errors.one_line(ValueError()) == "ValueError"


def test_the_first_cause_is_at_the_end_of_the_chain():
    error = RuntimeError("max retries")
    error.__cause__ = ValueError("unreachable")
    error.__cause__.__context__ = OSError("no route to host")
    assert errors.first_cause(error) == "no route to host"
    assert errors.first_cause(OSError("a" * 300)) == "a" * 200
