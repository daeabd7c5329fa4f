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


class ProcessDied(UsageError):  # noqa: N818  (says what happened)
    """A process that ended without returning anything."""

    def __str__(self) -> str:
        """Returns the message."""
        return (
            "its process ended without a word; systems do that to processes where "
            "memory is short"
        )


class TrainingFailed(UsageError):  # noqa: N818  (says what happened)
    """A loss that is no number any more.

    Args:
        what: The loss, as the history calls it.
        epoch: When that was, counted from 1.
        step: The step of that epoch, counted from 1.
        rate: The learning rate.

    Attributes:
        details: `epoch`, `step`, `learning_rate` and `last_good_epoch`, 0 if there
            is none.
    """

    def __init__(self, what: str, epoch: int, step: int, rate: float) -> None:
        self._what = what
        self.details: dict[str, Any] = {
            "epoch": epoch,
            "step": step,
            "learning_rate": rate,
            "last_good_epoch": epoch - 1,
        }

    def __str__(self) -> str:
        """Returns the message."""
        return (
            f"{self._what} is not finite at step {self.details['step']} of epoch "
            f"{self.details['epoch']}, learning rate "
            f"{self.details['learning_rate']:.3g}; the last good epoch is "
            f"{self.details['last_good_epoch'] or 'none'}. Try a lower "
            "--learning_rate or --precision=float32, with --overwrite"
        )


class Interrupted(KeyboardInterrupt):
    """A signal that ended a run between two steps, with everything kept.

    Like any `KeyboardInterrupt`, it is not caught where errors are.

    Attributes:
        outlook: What there is, and how to go on.
        number: The signal.
    """

    def __init__(self, outlook: str, number: signal.Signals) -> None:
        self.outlook = outlook
        self.number = number

    @property
    def status(self) -> int:
        """The exit status that shells give to this signal."""
        return 128 + self.number

    def __str__(self) -> str:
        """Returns the message."""
        return f"stopped by {self.number.name}; {self.outlook}"


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
