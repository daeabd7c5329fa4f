"""What a run's folder says about the inputs of its `model.keras`."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np

from normtest_tf import errors
from normtest_tf.normalization import ChannelStatistics
from normtest_tf.system import files


def statistics_note(path: pathlib.Path, assumed: ChannelStatistics) -> str | None:
    """Says what a run's model was trained on, if that is not what is assumed.

    Args:
        path: The model in the run's folder, beside the run's `config.json`.
        assumed: The channel statistics assumed for its weights.

    Returns:
        A message with the flags to pass, or None if the folder does not say, or says
        the same.
    """
    try:
        resolved = files.read_json(path.parent / "config.json").get("resolved")
    except errors.UsageError:
        return None
    found = resolved.get("statistics") if isinstance(resolved, dict) else None
    if not isinstance(found, dict):
        return None
    mean, std = _three(found.get("mean")), _three(found.get("std"))
    if mean is None or std is None:
        return None
    if np.allclose([mean, std], [assumed.mean, assumed.std], rtol=1e-4, atol=1e-5):
        return None
    return (
        f"the run of {path.name} normalised its inputs with mean {_text(mean)} and std "
        f"{_text(std)}; for --normalization=pretrain to do the same, pass "
        f"--pretrain_mean={_text(mean)} --pretrain_std={_text(std)}"
    )


def _three(values: object) -> tuple[float, ...] | None:
    """Returns three numbers, None for anything else."""
    if not isinstance(values, list) or len(values) != 3:
        return None
    if not all(type(value) in (int, float) for value in values):
        return None
    return tuple(map(float, values))


def _text(values: Sequence[float]) -> str:
    """Returns numbers as flags take them."""
    return ",".join(f"{value:.6g}" for value in values)
