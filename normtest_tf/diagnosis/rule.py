"""From measurements to a recommendation, for each way of training.

A way of training decides the mode that batch normalization runs in, and so which
displacement counts: that between two settings' features with the batch's statistics
where batch normalization trains, that with stored statistics where it is frozen. The
rule's numbers are in one place, to be calibrated with finished runs.
"""

from __future__ import annotations

import dataclasses
import math

from normtest_tf.diagnosis.distances import BATCH, REESTIMATED, STORED
from normtest_tf.diagnosis.linear_probe import Paired

LOW, MODERATE, HIGH = "low", "moderate", "high"
NONE = "none"  # The mode of a network without batch normalization.


@dataclasses.dataclass(frozen=True)
class Rule:
    """The constants of the rule; effects are in points of test accuracy.

    They were fitted to resnet18 on CIFAR10 under seven shifts (plots/studies/dose);
    docs/diagnosis.md tells how they did on cells they were not fitted to.
    """

    noise: float = 0.8  # Effects below it can't be told from chance with a few seeds.
    off: float = 1.5  # How far off a prediction may be where no effect is expected,
    off_share: float = 0.25  # and by which share of the predicted effect in addition.
    small: float = 0.02  # Displacements below it are taken for none,
    large: float = 0.5  # those above it matter in any way of training.
    of_training: float = 2.5  # Effect per unit of these where all layers train.
    # Effect on a trained head per unit of displacement behind stored statistics, times
    # the approach to these; and per point of the linear probe's.
    of_head: float = 7.0
    of_probe: float = 0.7
    # Share of a head's effect that remains where the other layers train behind frozen
    # batch normalization.
    kept_when_frozen_bn: float = 0.8
    # Weight of the stored statistics after 20 steps: the momentum to their power.
    kept_after_few_steps: float = 0.12


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known of one pair of settings."""

    one: str  # The setting asked about.
    other: str  # The setting that it is compared with.
    # Of the last features, by mode; without batch normalization only the stored one.
    displacements: dict[str, float]
    # By which share `one` brings the data nearer to the statistics stored in the first
    # batch normalization, from -1 (`other` does, all the way) to 1; None without any.
    # Deeper layers show the size of the images rather than the setting.
    approach: float | None
    # The linear probe's, one - other, by mode; empty without labels.
    differences: dict[str, Paired]
    images: int


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What to expect of one way of training."""

    training: str  # all, few_images, head, head_recalibrated or frozen_bn
    mode: str  # Of batch normalization: batch, stored, reestimated or none.
    displacement: float  # Of the last features, between the settings in that mode.
    points: float  # The expected effect, one - other.
    margin: float  # How far off that may be, in points.
    confidence: str
    take: str | None  # The recommended setting; None if either will do.
    reason: str


def predict(evidence: Evidence, rule: Rule | None = None) -> tuple[Prediction, ...]:
    """Predicts the effect for every way of training that applies."""
    rule = rule or Rule()
    if BATCH not in evidence.displacements:  # No statistics to freeze or re-estimate.
        return (_without_batch_norm(evidence, rule), _head(evidence, rule))
    ways = (_all, _few, _head, _recalibrated, _frozen_bn)
    return tuple(way(evidence, rule) for way in ways)


def _all(evidence: Evidence, rule: Rule) -> Prediction:
    size = evidence.displacements[BATCH]
    reason = (
        "Every batch normalization uses the statistics of its batch, so a common scale "
        "and a shift of the inputs vanish; the ratios of the channels' scales and the "
        f"border of the first convolution remain, a displacement of {size:.2f}."
    )
    if size < rule.large:
        reason += (
            " Training makes up for that: expect less than the noise of a few seeds."
        )
        return _prediction(evidence, rule, "all", BATCH, reason, confidence=MODERATE)
    reason += (
        " That is large: the network starts from other features, and a short training "
        "does not make up for it all. The setting that brings the data nearer to the "
        "stored statistics has the better start."
    )
    points = rule.of_training * size * math.copysign(1, evidence.approach or 0.0)
    return _prediction(evidence, rule, "all", BATCH, reason, points=points)


def _few(evidence: Evidence, rule: Rule) -> Prediction:
    stored = evidence.displacements[STORED]
    size = evidence.displacements[BATCH] + rule.kept_after_few_steps * stored
    reason = (
        "As with all layers and many images, but evaluation uses running statistics, "
        "which after a few steps still hold a part of the stored ones; and with few "
        "images chance is larger."
    )
    margin = max(2 * rule.noise, rule.of_training * size)
    return Prediction("few_images", BATCH, size, 0.0, margin, LOW, None, reason)


def _head(evidence: Evidence, rule: Rule) -> Prediction:
    """The frozen backbone, in evaluation mode."""
    size, approach = evidence.displacements[STORED], evidence.approach
    mode, what = STORED, "The stored statistics are used as they are"
    if BATCH not in evidence.displacements:
        mode, what = NONE, "There is no batch normalization"
    reason = (
        f"{what}, so nothing of the difference vanishes: the features move by "
        f"{size:.2f} of their spread."
    )
    if approach is None:
        margin = rule.of_head * size
        return _prediction(evidence, rule, "head", mode, reason, margin=margin)
    reason += (
        f" {evidence.one} brings the data nearer to what is stored in the first batch "
        f"normalization by {approach:.0%} of the distance."
        if approach >= 0
        else f" {evidence.one} takes the data away from what is stored in the first "
        f"batch normalization: {evidence.other} is nearer by {-approach:.0%}."
    )
    points = rule.of_head * approach * size
    if probe := evidence.differences.get(STORED):
        reason += _probe_in_words(evidence, probe)
        points = (points + rule.of_probe * probe.points) / 2
    else:
        reason += " Labels would tell more: a linear probe needs them."
    return _prediction(evidence, rule, "head", mode, reason, points=points)


def _recalibrated(evidence: Evidence, rule: Rule) -> Prediction:
    name, size = "head_recalibrated", evidence.displacements[REESTIMATED]
    reason = (
        "Statistics re-estimated on the data take up scale and shift, as batch "
        f"statistics do; the features still move by {size:.2f} of their spread."
    )
    points, margin = None, rule.of_head * size
    if probe := evidence.differences.get(REESTIMATED):
        reason += _probe_in_words(evidence, probe)
        points = rule.of_probe * probe.points
    return _prediction(
        evidence, rule, name, REESTIMATED, reason, points=points, margin=margin
    )


def _frozen_bn(evidence: Evidence, rule: Rule) -> Prediction:
    head = _head(evidence, rule)
    reason = (
        "It starts from the same features as a frozen backbone, but the weights can "
        "adapt: expect the same sign and most of the size."
    )
    points = rule.kept_when_frozen_bn * head.points
    return _prediction(evidence, rule, "frozen_bn", STORED, reason, points=points)


def _without_batch_norm(evidence: Evidence, rule: Rule) -> Prediction:
    size = evidence.displacements[STORED]
    reason = (
        "There is no batch normalization, so nothing takes up the difference but the "
        f"weights themselves: the features start {size:.2f} of their spread apart."
    )
    margin = rule.of_training * size
    return _prediction(evidence, rule, "all", NONE, reason, margin=margin)


def _prediction(
    evidence: Evidence,
    rule: Rule,
    training: str,
    mode: str,
    reason: str,
    *,
    points: float | None = None,
    margin: float = 0.0,
    confidence: str = LOW,
) -> Prediction:
    """Returns a prediction; without `points`, only the size is known.

    Their sign is followed where it is beyond the noise.
    """
    size = evidence.displacements[STORED if mode == NONE else mode]
    take = None
    if points is not None:
        margin = max(rule.noise, rule.off + rule.off_share * abs(points))
        confidence = MODERATE if abs(points) > margin else LOW
        if abs(points) >= rule.noise:
            take = evidence.one if points > 0 else evidence.other
    if size < rule.small:
        confidence = HIGH
    margin = max(rule.noise, margin)
    return Prediction(
        training, mode, size, points or 0.0, margin, confidence, take, reason
    )


def _probe_in_words(evidence: Evidence, probe: Paired) -> str:
    return (
        f" A linear classifier of these features differs by {probe.points:+.1f} ± "
        f"{probe.error:.1f} points ({evidence.one} - {evidence.other}, standard error "
        f"over {evidence.images} images)."
    )


def in_words(prediction: Prediction) -> str:
    """Says how large an effect is expected, in a few words."""
    points, margin = prediction.points, prediction.margin
    if math.isclose(points, 0.0, abs_tol=0.05):
        return f"none beyond ±{margin:.1f}"
    return f"{points:+.1f} ({points - margin:+.1f} to {points + margin:+.1f})"
