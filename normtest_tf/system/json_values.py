"""Values read from JSON files, checked; errors name the file and the value."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from normtest_tf import errors

REQUIRED = object()  # In place of a default.


def is_accuracy(value: object) -> bool:
    """Tells whether a value read from JSON is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= 1


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
            raise self._unusable(f"holds {name}={value}, not a number from 0 to 1")
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
