"""Memory: the peak of this process, what is free, and sizes in words."""

from __future__ import annotations

import contextlib
import os
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
    """Returns the peak resident memory of this process so far.

    Returns:
        MiB, or None on systems that don't report it.
    """
    if sys.platform == "linux":
        # `getrusage` counts what the parent had when it started this process.
        with contextlib.suppress(OSError), open("/proc/self/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 2**10
    try:
        import resource
    except ImportError:  # Windows has no such module.
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def parse(text: str) -> int:
    """Returns the bytes that a size such as `4GB`, `500MB` or `1.5GiB` stands for.

    Raises:
        UsageError: If it is no size above 0.
    """
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([A-Za-z]*)\s*", text)
    unit = _UNITS.get(found[2].upper()) if found else None
    size = int(float(found[1]) * unit) if found and unit else 0
    if size < 1:
        raise errors.UsageError(
            "--memory_budget takes a size such as 4GB, 500MB or 64MiB, in B, KB, MB, "
            "GB, TB or KiB to TiB. "
            f"Received: {text[:50]!r}"
        )
    return size


def in_words(size: int) -> str:
    """Writes a number of bytes: `1.9 GB`, `38 MB`."""
    for unit in ("GB", "MB", "KB"):
        value = size / _UNITS[unit]
        if value >= 1:
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{size} bytes"


def free_bytes() -> int:
    """Returns how much memory this process may still take.

    Returns:
        What the kernel estimates to be available, or what the container may still
        take if that is less; half of the machine's memory where neither is known.
    """
    free = [value for value in (_available(), _left_in_cgroup()) if value is not None]
    if free:
        return min(free)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):  # Windows has none of them.
        return 4 * 2**30


def _available() -> int | None:
    """Returns `MemAvailable`, in bytes."""
    with contextlib.suppress(OSError), open(MEMINFO, encoding="utf-8") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 2**10
    return None


def _left_in_cgroup() -> int | None:
    """Returns what a container's limit leaves, in bytes; None without a limit."""
    with contextlib.suppress(OSError, ValueError):
        limit = int((CGROUP / "memory.max").read_text())
        return max(limit - int((CGROUP / "memory.current").read_text()), 0)
    return None
