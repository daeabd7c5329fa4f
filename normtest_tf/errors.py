"""The one exception that means "this input can't be used"."""


class UsageError(ValueError):
    """A flag, file or data set that can't be used.

    Its message is one line that says what is wrong, what was received, what
    is allowed and what to do next. Programs print it and exit with status 2.
    """


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
