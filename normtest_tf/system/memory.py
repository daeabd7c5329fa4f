"""The most memory that this process has held."""

from __future__ import annotations

import sys


def mebibytes() -> float | None:
    """Returns the peak of this process's resident memory so far, in MiB.

    None where the system does not tell.
    """
    try:
        import resource
    except ImportError:  # Windows has no such module.
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
