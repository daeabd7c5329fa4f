"""The prefix that a training framework puts in front of all names of a network.

`DataParallel` adds `module.`, `torch.compile` adds `_orig_mod.`, and a network that is
part of another module has that module's name for it, such as `backbone.`. Any such
prefix is found by the names that follow it, not by a list.
"""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Collection, Iterator

from normtest_tf import errors


def find(
    path: pathlib.Path, received: Collection[str], expected: Collection[str]
) -> str:
    """Finds the prefix of a network's tensors.

    Args:
        path: The file, for error messages.
        received: The names in the file, each once.
        expected: The names in the network, without its classifier.

    Returns:
        The prefix with its final dot, under which the file has all expected names. If
        there is none, the first one under which it has most of them. Otherwise, and
        if the names fit as they are, an empty string.

    Raises:
        UsageError: If all expected names occur under several prefixes.

    Example:
        ```python
        path = pathlib.Path("model.safetensors")
        find(path, ["module.conv1.weight", "fc.bias"], ["conv1.weight"])  # "module."
        ```
    """
    found = collections.Counter(
        prefix
        for name in received
        for prefix, rest in _splits(name)
        if rest in expected
    )
    whole = sorted(prefix for prefix in found if found[prefix] == len(expected))
    if "" in whole or not found:
        return ""
    if len(whole) > 1:
        raise errors.UsageError(
            f"{path} holds this network {len(whole)} times, under the prefixes "
            f"{', '.join(map(repr, whole[:4]))}; write a file with one of them"
        )
    prefix, count = found.most_common(1)[0]
    return prefix if count > len(expected) / 2 else ""


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """Yields each prefix of a name that ends in a dot, and what follows it."""
    yield "", name
    for position, character in enumerate(name, start=1):
        if character == ".":
            yield name[:position], name[position:]
