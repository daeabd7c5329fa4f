"""Memory: the peak of this process, what is free, and sizes in words."""

from __future__ import annotations

import contextlib
import pathlib
import re
import sys

from normtest_tf import errors

_UNITS = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
# Of the machine, and of the container that the process runs in.
MEMINFO = "/proc/meminfo"
CGROUP = pathlib.Path("/sys/fs/cgroup")


def peak_mebibytes() -> float | None:
    """Returns the peak resident memory of this process; None on Windows."""
    # `getrusage` counts what the parent had when it started this process.
    if (peak := _bytes_in("/proc/self/status", "VmHWM:")) is not None:
        return peak / 2**20
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def parse(text: str) -> int:
    """Returns the bytes that a size such as `4GB`, `500MB` or `1.5GiB` stands for."""
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([A-Za-z]*)\s*", text)
    unit = _UNITS.get(found[2].upper()) if found else None
    size = int(float(found[1]) * unit) if found and unit else 0
    if size < 1:
        raise errors.UsageError(
            "--memory_budget takes a size such as 4GB, 500MB or 64MiB. Received: "
            f"{text[:50]!r}"
        )
    return size


def in_words(size: int) -> str:
    """Writes a number of bytes: `1.9 GB`, `38 MB`."""
    for unit in ("GB", "MB", "KB"):
        if (value := size / _UNITS[unit]) >= 1:
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{size} bytes"


def free_bytes() -> int:
    """Returns how much memory the machine and the container still have to give."""
    free = [_bytes_in(MEMINFO, "MemAvailable:"), _left_in_cgroup()]
    # Without /proc: what a small machine can spare.
    return min((size for size in free if size is not None), default=4 * 2**30)


def _bytes_in(path: str, name: str) -> int | None:
    """Returns a number of KiB in a file of the kernel, in bytes."""
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1]) * 2**10
    return None


def _left_in_cgroup() -> int | None:
    """Returns what a container's limit leaves, in bytes; None without a limit."""
    with contextlib.suppress(OSError, ValueError):
        limit = int((CGROUP / "memory.max").read_text())
        return max(limit - int((CGROUP / "memory.current").read_text()), 0)
    return None
