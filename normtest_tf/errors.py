"""The exceptions whose message is all that a user needs to see."""

from __future__ import annotations

import signal
from typing import Any


class UsageError(ValueError):
    """A flag, file or data set that can't be used.

    Its message is one line that says what is wrong, what was received, what
    is allowed and what to do next. Programs print it and exit with status 2.
    """


class Locked(UsageError):  # noqa: N818  (a state, no fault)
    """A run's folder that another process is writing."""


class TrainingFailed(UsageError):  # noqa: N818  (says what happened)
    """A loss that is no number any more.

    Attributes:
        details: `epoch`, `step` of that epoch (both from 1), `learning_rate` and
            `last_good_epoch`, 0 if there is none.
    """

    def __init__(self, what: str, *, epoch: int, step: int, rate: float) -> None:
        self.details: dict[str, Any] = {
            "epoch": epoch,
            "step": step,
            "learning_rate": rate,
            "last_good_epoch": epoch - 1,
        }
        super().__init__(
            f"{what} is not finite at step {step} of epoch {epoch}, learning rate "
            f"{rate:.3g}; the last good epoch is {epoch - 1 or 'none'}. Try a lower "
            "--learning_rate or --precision=float32, with --overwrite"
        )


class Interrupted(KeyboardInterrupt):
    """A signal that ended a run between two steps, with everything kept.

    Like any `KeyboardInterrupt`, it is not caught where errors are.

    Attributes:
        status: The exit status that shells give to this signal.
    """

    def __init__(self, message: str, number: signal.Signals) -> None:
        super().__init__(message)
        self.status = 128 + number


def one_line(error: BaseException) -> str:
    """Returns the error's message with all white space folded to one line."""
    return " ".join(str(error).split()) or type(error).__name__


def first_cause(error: BaseException) -> str:
    """Returns the message of what made the error happen, short enough for a line."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return one_line(error)[:200]


def unknown_name(kind: str, received: str, allowed: list[str]) -> UsageError:
    """Returns the error for a name that is in no registry.

    Args:
        kind: What the name should have named, such as "model".
        received: The name.
        allowed: Every name that would have been accepted.

    Returns:
        A `UsageError` that suggests the nearest allowed name, if one is near.
    """
    import difflib

    near = difflib.get_close_matches(received, allowed, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(
        f"unknown {kind} {received!r}.{hint} Allowed: {', '.join(allowed)}"
    )
