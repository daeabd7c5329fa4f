"""Whether a file is a whole `.keras` archive, before Keras says "File not found"."""

from __future__ import annotations

import os
import pathlib
import zipfile

from normtest_tf import errors
from normtest_tf.system import files

REMEDY = "copy it again, or train or export again with --overwrite"


def check(path: pathlib.Path) -> None:
    """Checks that a `.keras` file is there and is a zip archive, without Keras.

    An archive's directory is at its end, so that a file that was cut off has none.

    Args:
        path: The file.

    Raises:
        UsageError: If it is missing, cut off, or something else; the message says
            what it is.
    """
    if not os.path.isfile(path):  # `Path.is_file` would raise.
        raise errors.UsageError(f"{path} is missing or not a file; {REMEDY}")
    try:
        head = files.read_head(path)
    except OSError as error:
        raise errors.unreadable(path, error) from error
    if kind := files.unusable_kind(head, REMEDY):
        raise errors.UsageError(f"can't read {path}: it is {kind}")
    if zipfile.is_zipfile(path):
        return
    if head.startswith(b"PK"):
        what = "its end is missing: it was cut off while it was written or copied"
    else:
        what = "it is not the zip archive that a .keras file is"
    raise errors.UsageError(f"can't read {path}: {what}; {REMEDY}")
