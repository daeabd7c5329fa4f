"""The peak memory use of this process."""

from __future__ import annotations

import contextlib
import sys


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
