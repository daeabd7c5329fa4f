"""Which of two settings to take behind a frozen backbone, from linear probes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from normtest_tf.diagnosis.distances import REESTIMATED, STORED
from normtest_tf.diagnosis.linear_probe import Paired
from normtest_tf.normalization import CONTROL, TREATMENT
from normtest_tf.training import choices

SURE = 2.0  # Standard errors by which a linear probe has to favour the treatment.
HEAD_RECALIBRATED = f"{choices.HEAD}_recalibrated"
_PROBED = {STORED: choices.HEAD, REESTIMATED: HEAD_RECALIBRATED}


@dataclasses.dataclass(frozen=True)
class Advice:
    """Which setting to take in one way of training."""

    training: str  # `HEAD_RECALIBRATED`, or as `--train` calls it.
    points: float  # The probe's, the treatment's minus the control's.
    error: float  # Their standard error.
    take: str  # The setting to take.


def take(points: float, error: float) -> str:
    """Returns the setting to take by a probe's difference: the control in doubt."""
    return TREATMENT if points > SURE * error else CONTROL


def advise(probes: Mapping[str, Paired]) -> tuple[Advice, ...]:
    """Advises on the ways of training whose mode was probed."""
    found = []
    for mode, training in _PROBED.items():
        if probe := probes.get(mode):
            points, error = probe.points, probe.error
            found.append(Advice(training, points, error, take(points, error)))
    return tuple(found)
