"""Runs one of this package's programs in a fresh process, for a part of an export."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

from normtest_tf.export.formats import ExportError


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    failure: str,
    text: str | None = None,
) -> None:
    """Runs Python, and waits for it to end.

    Args:
        arguments: Those of the interpreter.
        environment: All its variables.
        failure: What it means if it fails: `the onnx export can't be run`.
        text: What it reads from stdin. Default: it has this process's.

    Raises:
        ExportError: If its exit status is not 0; it ends with the last line on stderr.
    """
    process = subprocess.run(
        [sys.executable, *arguments],
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        check=False,
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines() or ["no error message"]
        raise ExportError(f"{failure} (exit status {process.returncode}): {lines[-1]}")
