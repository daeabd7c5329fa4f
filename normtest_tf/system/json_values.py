"""Values read from JSON files, checked; errors name the file and the value."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from normtest_tf import errors

REQUIRED = object()  # In place of a default.


def parse(text: str) -> Any:  # noqa: ANN401  (any JSON)
    """Parses JSON strictly.

    Args:
        text: Without a byte order mark.

    Returns:
        The value.

    Raises:
        ValueError: If it is not JSON, holds NaN, an infinity or a number too large
            for a float, or names a value twice. The message begins with "it".

    Example:
    ```python
    assert parse('{"epoch": 3}') == {"epoch": 3}
    ```
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_without_repeats,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise ValueError(_what_is_wrong(text, error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object's values; of two with one name, Python would drop the first."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it holds {twice[:80]!r} twice (was it edited?)")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number in JSON (was it edited?)")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"it holds {text[:80]}, which is infinite (was it edited?)")
    return value


def _what_is_wrong(text: str, error: json.JSONDecodeError) -> str:
    """Tells JSON that was cut off from JSON that was edited."""
    end = text.rstrip()
    is_cut = error.pos >= len(end) or not end.endswith(("}", "]"))
    if is_cut and error.msg != "Extra data":
        lines = end.count("\n") + 1
        return (
            f"it is not complete JSON, it ends in line {lines} (was the copy cut off?)"
        )
    return f"it is not JSON, line {error.lineno}: {error.msg} (was it edited?)"


def is_accuracy(value: object) -> bool:
    """Tells whether a value read from JSON is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= 1


def not_an_accuracy(value: object) -> str:
    """Says what is wrong with a value that `is_accuracy` refuses."""
    if isinstance(value, int | float) and 1 < value <= 100:
        return f"{value}, which looks like a percentage, not a number from 0 to 1"
    return f"{repr(value)[:80]}, not a number from 0 to 1"


class JsonReader:
    """Reads the values of one JSON object; calling it returns a value of given types.

    Args:
        values: The object.
        path: The file that it comes from.
    """

    def __init__(self, values: Mapping[str, Any], path: pathlib.Path) -> None:
        self._values = values
        self._path = path

    def __call__(self, name: str, *types: type, default: Any = REQUIRED) -> Any:  # noqa: ANN401  (any JSON)
        """Returns a value.

        Args:
            name: Its key.
            *types: Its allowed types; a bool is an int only where bool is allowed.
            default: What to return where there is no such key.

        Raises:
            UsageError: If it is missing or of another type.
        """
        value = self._values.get(name, default)
        if value is REQUIRED:
            raise self._unusable(f"lacks {name}")
        # To Python, True is an int.
        is_typed = isinstance(value, types) and (
            not isinstance(value, bool) or bool in types
        )
        if value is default or is_typed:
            return value
        raise self._unusable(f"holds {name}={str(value)[:80]!r}")

    def accuracy(self, name: str, default: Any = REQUIRED) -> Any:  # noqa: ANN401  (any JSON)
        """Returns a number from 0 to 1, or raises `UsageError`."""
        value = self(name, int, float, default=default)
        if value is not default and not is_accuracy(value):
            raise self._unusable(f"holds {name}={not_an_accuracy(value)}")
        return value

    def count(self, name: str) -> int:
        """Returns a number of things, or raises `UsageError`."""
        value = self(name, int)
        if value < 0:
            raise self._unusable(f"holds {name}={value}, which is negative")
        return value

    def three(self, name: str, *types: type) -> Any:  # noqa: ANN401  (any JSON)
        """Returns three numbers as a tuple, or raises `UsageError`."""
        values = self(name, list)
        if len(values) != 3 or not all(type(value) in types for value in values):
            raise self._unusable(f"holds {name}={str(values)[:80]}, not three numbers")
        return tuple(values)

    def mapping(self, name: str, types: Mapping[str, tuple[type, ...]]) -> Any:  # noqa: ANN401  (any JSON)
        """Returns an object with values of given types, or raises `UsageError`."""
        values = self(name, dict)
        read = JsonReader(values, self._path)
        for key, allowed in types.items():
            read(key, *allowed)
        return values

    def _unusable(self, problem: str) -> errors.UsageError:
        return errors.UsageError(
            f"{self._path} {problem}; was it edited? Run it again with --overwrite"
        )
