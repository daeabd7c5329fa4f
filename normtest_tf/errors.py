"""Exceptions whose message is all that the user needs to see."""

from __future__ import annotations

import pathlib
from typing import Any


class UsageError(ValueError):
    """An unusable flag, file or data set.

    The message is one line that says what is wrong, what was received, what is
    allowed and what to do next. Programs print it and exit with status 2.
    """


class Locked(UsageError):  # noqa: N818  (a state, not an error)
    """Another process is writing to the folder."""


class WorkerDied(UsageError):  # noqa: N818  (says what happened)
    """A worker process exited before it returned a result."""

    def __str__(self) -> str:
        """Says what happened, or explains the most likely cause."""
        return super().__str__() or (
            "the worker process died without an error, probably killed for lack of "
            "memory"
        )


class TrainingFailed(UsageError):  # noqa: N818  (says what happened)
    """A loss or a weight became NaN or infinite; `details` is ready for JSON."""

    def __init__(self, what: str, epoch: int, step: int, rate: float) -> None:
        # Positional, for pickle: given by keyword they would not be in `args`.
        super().__init__(what, epoch, step, rate)
        self._what = what
        self.details: dict[str, Any] = {
            "epoch": epoch,
            "step": step,
            "learning_rate": rate,
            "last_good_epoch": epoch - 1,
        }

    def __str__(self) -> str:
        """Names the step at which the loss diverged and flags that may help."""
        found = self.details
        return (
            f"{self._what} is not finite at step {found['step']} of epoch "
            f"{found['epoch']}, learning rate {found['learning_rate']:.3g}; the last "
            f"good epoch is {found['last_good_epoch'] or 'none'}. Try a lower "
            "--learning_rate or --precision=float32, with --overwrite"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Tells whether memory ran out, in the words of any library."""
    words = f"{type(error).__name__}: {error}".lower()
    signs = ("outofmemory", "out of memory", "oom when", "allocate memory")
    return isinstance(error, MemoryError) or any(sign in words for sign in signs)


def one_line(error: BaseException) -> str:
    """Returns the error's message on one line, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def reason(error: BaseException) -> str:
    """Returns what went wrong on one line, without the path of a system's error."""
    return (isinstance(error, OSError) and error.strerror) or one_line(error)


def first_cause(error: BaseException) -> str:
    """Returns the message of the error's root cause, cut to 200 characters."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return one_line(error)[:200]


def unreadable(
    path: pathlib.Path, error: BaseException, advice: str = ""
) -> UsageError:
    """Returns the error for a file or folder that can't be read, and what to do."""
    return UsageError(
        f"can't read {path}: {reason(error)}" + (advice and f"; {advice}")
    )


def unwritable(folder: pathlib.Path, error: BaseException) -> UsageError:
    """Returns the error for a folder that can't be written to."""
    return UsageError(
        f"can't write to {folder}: {reason(error)}; choose another folder"
    )


def unknown_name(
    kind: str, received: str, allowed: list[str], hint: str | None = None
) -> UsageError:
    """Returns the error for an unknown name: the nearest one, and a hint or all."""
    import difflib

    near = difflib.get_close_matches(received, allowed, n=1)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(
        f"unknown {kind} {received!r}.{suggestion} "
        + (hint or f"Allowed: {', '.join(allowed)}")
    )
