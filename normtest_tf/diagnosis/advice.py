"""Which of two settings to take behind a frozen backbone, from linear probes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from normtest_tf.diagnosis.distances import REESTIMATED, STORED
from normtest_tf.diagnosis.linear_probe import Paired
from normtest_tf.normalization import CONTROL, TREATMENT
from normtest_tf.training import choices

SURE = 2.0  # Standard errors by which a linear probe has to differ.
HEAD_RECALIBRATED = f"{choices.HEAD}_recalibrated"
_PROBED = {STORED: choices.HEAD, REESTIMATED: HEAD_RECALIBRATED}


@dataclasses.dataclass(frozen=True)
class Advice:
    """Which setting to take in one way of training."""

    training: str  # `HEAD_RECALIBRATED`, or as `--train` calls it.
    points: float  # The probe's, the treatment's minus the control's.
    error: float  # Their standard error.
    take: str | None  # The better setting; None if the probe can't tell.


def take(points: float, error: float) -> str | None:
    """Returns the better setting by a probe's difference; None if it can't tell."""
    better = TREATMENT if points > 0 else CONTROL
    return better if abs(points) > SURE * error else None


def advise(probes: Mapping[str, Paired]) -> tuple[Advice, ...]:
    """Advises on the ways of training whose mode was probed."""
    found = []
    for mode, training in _PROBED.items():
        if probe := probes.get(mode):
            points, error = probe.points, probe.error
            found.append(Advice(training, points, error, take(points, error)))
    return tuple(found)
