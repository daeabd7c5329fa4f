"""Which of two settings to take, for each way of training, and what that rests on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from normtest_tf.diagnosis.distances import REESTIMATED, STORED
from normtest_tf.diagnosis.linear_probe import Paired
from normtest_tf.normalization import CONTROL, TREATMENT
from normtest_tf.normalization.statistics import FAR
from normtest_tf.training import choices

PIXELS = "pixel distance"
PROBE = "linear probe"
SURE = 2.0  # Standard errors by which a linear probe has to differ.
HEAD_RECALIBRATED = f"{choices.HEAD}_recalibrated"


@dataclasses.dataclass(frozen=True)
class Advice:
    """Which setting to take in one way of training."""

    training: str  # `HEAD_RECALIBRATED`, or as `--train` calls it.
    rests_on: str  # `PIXELS` or `PROBE`.
    value: float  # The distance; or the treatment's points minus the control's.
    error: float | None  # The standard error of these points.
    take: str | None  # The better setting; None if either will do.


def advise(
    pixels: float, probes: Mapping[str, Paired], *, has_batch_norm: bool
) -> tuple[Advice, ...]:
    """Advises on every way of training, by pixel distance or the probe of its mode."""
    modes = {choices.ALL: "", choices.HEAD: STORED}
    if has_batch_norm:
        modes |= {HEAD_RECALIBRATED: REESTIMATED, choices.FROZEN_BN: ""}
    found = []
    for training, mode in modes.items():
        if probe := probes.get(mode):
            better = TREATMENT if probe.points > 0 else CONTROL
            take = better if abs(probe.points) > SURE * probe.error else None
            found.append(Advice(training, PROBE, probe.points, probe.error, take))
        else:
            take = TREATMENT if pixels > FAR else None
            found.append(Advice(training, PIXELS, pixels, None, take))
    return tuple(found)
