"""What files really hold, whatever their names say."""

from __future__ import annotations

import pathlib

HEAD_BYTES = 512  # Enough for `unusable_kind`.
_LFS = b"version https://git-lfs.github.com/spec/"
_HTML = (b"<!doctype html", b"<html", b"<head", b"<?xml")


def read_head(path: pathlib.Path) -> bytes:
    """Returns a file's first `HEAD_BYTES` bytes, or all of them.

    Args:
        path: No pipe: opening it would block for ever.

    Raises:
        OSError: If it can't be read.
    """
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def unusable_kind(head: bytes, advice: str = "") -> str | None:
    """Says what a file is that some tool left in place of the real one.

    Args:
        head: The file's first `HEAD_BYTES` bytes, or all of them.
        advice: What to do about an empty file, without a trailing full stop; about
            the others, this function knows.

    Returns:
        A phrase that completes "it is ...", and advice after a colon, or None for
        anything else.

    Example:
    ```python
    assert unusable_kind(b"", "write it again") == "empty: write it again"
    ```
    """
    if not head:
        return "empty" + (advice and f": {advice}")
    if head.startswith(_LFS):
        return "a Git LFS pointer, not the file itself: run `git lfs pull`"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML):
        return "a web page, not the file itself: download it again"
    if not any(head):
        return "nothing but zero bytes: copy or download it again"
    return None
