"""stdout and stderr that never end a program with a traceback."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from typing import TextIO

from normtest_tf import errors

# Windows has no such signal.
_PIPE_CLOSED = getattr(signal, "SIGPIPE", signal.SIGTERM)
_ESCAPED = "backslashreplace"  # What a terminal's encoding lacks, as \xe4 or \u2502.


class Messages(io.TextIOWrapper):
    """Text output that is dropped where it can't be written."""

    def write(self, text: str) -> int:
        """Writes text, some of which may be kept back until `flush`."""
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """Writes what was kept back."""
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        """Drops what can't be written."""
        _discard(self)


class Output(Messages):
    """Text output; where it can't be written, the program ends in an orderly way.

    Raises:
        Interrupted: If nothing reads the output any more, as after `| head`. Unlike
            `BrokenPipeError`, nobody takes it for a problem with a file.
        UsageError: If it can't be written for another reason, such as a full disk.
    """

    def _lose(self, error: OSError) -> None:
        super()._lose(error)
        if isinstance(error, BrokenPipeError):
            raise errors.Interrupted("nothing reads the output", _PIPE_CLOSED)
        raise errors.UsageError(
            f"can't write to stdout: {errors.reason(error)}; make room, or send the "
            "output elsewhere"
        )


def prepare() -> None:
    """Makes this process's stdout and stderr safe to print to.

    Characters that their encoding lacks are escaped. What is written to a closed
    stream is dropped, instead of ending up in the next file to be opened.
    """
    _open_missing_descriptors()
    sys.stdout = _wrapped(sys.stdout, Output)
    sys.stderr = _wrapped(sys.stderr, Messages)


def pipe_was_closed(interruption: errors.Interrupted) -> bool:
    """Tells whether work was stopped because nothing reads its output."""
    return interruption.number == getattr(signal, "SIGPIPE", None)


def _wrapped(stream: TextIO | None, kind: type[Messages]) -> TextIO:
    """Returns a safe stream that writes to where `stream` does."""
    if stream is None:  # It was closed before the program started.
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper) or type(stream) is kind:
        return stream
    try:
        stream.flush()
        return kind(
            stream.buffer,
            encoding=stream.encoding,
            errors=_ESCAPED,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
    except ValueError:  # It is detached or closed.
        return open(os.devnull, "w", encoding="utf-8")


def _open_missing_descriptors() -> None:
    """Opens the null device in place of a closed stdin, stdout or stderr."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)


def _discard(stream: TextIO) -> None:
    """Drops what a stream still holds, which Python would try to write at exit."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
