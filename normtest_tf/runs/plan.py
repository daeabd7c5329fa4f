"""`plan.json` in a results folder: the requested runs.

Reports use it to list missing runs.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from normtest_tf import errors
from normtest_tf.runs.folder import FORMAT, LAYOUT, PLAN, RunName
from normtest_tf.system import files

_ADVICE = "remove it, and the next sweep writes it again"


def add(results_dir: pathlib.Path, names: Sequence[RunName]) -> None:
    """Adds runs to a results folder's plan; existing entries are kept."""
    with files.only_writer(results_dir, wait=True):
        known = read(results_dir)
        new = [str(name) for name in names if str(name) not in set(known)]
        if new:
            plan = {"format": FORMAT, "runs": known + new}
            files.write_json(results_dir / PLAN, plan)


def read(results_dir: pathlib.Path) -> list[str]:
    """Returns the planned runs' paths within a results folder; none without a plan.

    Raises:
        UsageError: If the plan can't be read.
    """
    path = results_dir / PLAN
    if not path.exists():
        return []
    planned = files.read_json(path, _ADVICE).get("runs")
    if not isinstance(planned, list) or not all(isinstance(p, str) for p in planned):
        raise errors.UsageError(f"{path} does not list runs; {_ADVICE}")
    for entry in planned:
        if not _is_run(entry):
            raise errors.UsageError(
                f"{path} lists {entry[:200]!r}, which is not a run's path within the "
                f"results folder, {LAYOUT.partition('/')[2]}; {_ADVICE}"
            )
    return planned


def _is_run(entry: str) -> bool:
    """Tells whether an entry is a run's path as `RunName` writes it."""
    try:
        name = RunName.parse(pathlib.PurePosixPath(entry))
    except errors.UsageError:
        return False
    return str(name) == entry and name.dataset not in (".", "..")
