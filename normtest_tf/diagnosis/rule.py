"""From measurements to a recommendation, for each way of training.

A way of training decides the mode that batch normalization runs in, and so which
displacement counts: that between two settings' features with the batch's statistics
where batch normalization trains, that with stored statistics where it is frozen. The
rule's numbers are in one place, to be calibrated with finished runs.
"""

from __future__ import annotations

import dataclasses
import math

from normtest_tf.diagnosis.linear_probe import Paired

LOW, MODERATE, HIGH = "low", "moderate", "high"


@dataclasses.dataclass(frozen=True)
class Rule:
    """The constants of the rule; effects are in points of test accuracy.

    They were fitted to resnet18 on CIFAR10 under seven shifts (plots/studies/dose);
    docs/diagnosis.md tells how they did on cells they were not fitted to.

    Attributes:
        noise: Effects below it can't be told from chance with a few seeds.
        off: How far off a prediction may be where no effect is expected.
        off_share: By which share of the predicted effect it may be off in addition.
        small: Displacements below it are taken for none.
        large: Displacements above it are taken for a change of the inputs that matters
            in any way of training.
        of_training: Effect per unit of such a displacement where all layers train.
        of_head: Effect on a trained head per unit of displacement behind stored
            statistics, times the approach to these.
        of_probe: Effect on a trained head per point of the linear probe's.
        kept_when_frozen_bn: Share of a head's effect that remains where the other
            layers train behind frozen batch normalization.
        kept_after_few_steps: Weight of the stored statistics after a few steps: the
            momentum to the power of the steps, 0.9^20.
    """

    noise: float = 0.8
    off: float = 1.5
    off_share: float = 0.25
    small: float = 0.02
    large: float = 0.5
    of_training: float = 2.5
    of_head: float = 7.0
    of_probe: float = 0.7
    kept_when_frozen_bn: float = 0.8
    kept_after_few_steps: float = 0.12


RULE = Rule()


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known of one pair of settings.

    Attributes:
        one: The setting asked about.
        other: The setting that it is compared with.
        batch: Displacement of the features with batch statistics; None without batch
            normalization.
        stored: With stored statistics.
        reestimated: With each setting's re-estimated statistics; None likewise.
        approach: By which share `one` brings the data nearer to the statistics stored
            in the first batch normalization, from -1 (`other` does, all the way) to 1;
            None without batch normalization. Deeper layers show the size of the images
            rather than the setting.
        probe: The linear probe's difference, one - other, with stored statistics; None
            without labels.
        probe_reestimated: Likewise with re-estimated ones.
        images: The number of images.
    """

    one: str
    other: str
    batch: float | None
    stored: float
    reestimated: float | None
    approach: float | None
    probe: Paired | None
    probe_reestimated: Paired | None
    images: int


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What to expect of one way of training.

    Attributes:
        training: `all`, `few_images`, `head`, `head_recalibrated` or `frozen_bn`.
        mode: Of batch normalization: `batch`, `stored`, `reestimated` or `none`.
        displacement: Predicted displacement: the relative root mean square change of
            the last features between the two settings in that mode.
        points: Expected effect one - other, in points.
        margin: How far off that may be, in points.
        confidence: `low`, `moderate` or `high`.
        take: The setting to take; None where the choice does not matter.
        reason: Plain sentences.
    """

    training: str
    mode: str
    displacement: float
    points: float
    margin: float
    confidence: str
    take: str | None
    reason: str


def predict(evidence: Evidence, rule: Rule = RULE) -> tuple[Prediction, ...]:
    """Predicts the effect for every way of training.

    Args:
        evidence: What was measured.
        rule: The constants.

    Returns:
        A prediction for each way of training that applies: without batch normalization
        there are no statistics to freeze or to re-estimate.
    """
    if evidence.batch is None:
        return (_without_batch_norm(evidence, rule), _head(evidence, rule))
    predictions = [_all(evidence, rule), _few(evidence, rule), _head(evidence, rule)]
    if evidence.reestimated is not None:
        predictions.append(_recalibrated(evidence, rule))
    return (*predictions, _frozen_bn(evidence, rule))


def _all(evidence: Evidence, rule: Rule) -> Prediction:
    assert evidence.batch is not None
    size = evidence.batch
    reason = (
        "Every batch normalization uses the statistics of its batch, so a common scale "
        "and a shift of the inputs vanish; the ratios of the channels' scales and the "
        f"border of the first convolution remain, a displacement of {size:.2f}."
    )
    if size < rule.large:
        reason += (
            " Training makes up for that: expect less than the noise of a few seeds."
        )
        confidence = HIGH if size < rule.small else MODERATE
        return Prediction(
            "all", "batch", size, 0.0, rule.noise, confidence, None, reason
        )
    reason += (
        " That is large: the network starts from other features, and a short training "
        "does not make up for it all. The setting that brings the data nearer to the "
        "stored statistics has the better start."
    )
    points = rule.of_training * size * math.copysign(1, evidence.approach or 0.0)
    return _decided(evidence, rule, "all", "batch", size, points, reason)


def _few(evidence: Evidence, rule: Rule) -> Prediction:
    assert evidence.batch is not None
    size = evidence.batch + rule.kept_after_few_steps * evidence.stored
    reason = (
        "As with all layers and many images, but evaluation uses running statistics, "
        "which after a few steps still hold a part of the stored ones; and with few "
        "images chance is larger."
    )
    margin = max(2 * rule.noise, rule.of_training * size)
    return Prediction("few_images", "batch", size, 0.0, margin, LOW, None, reason)


def _head(evidence: Evidence, rule: Rule) -> Prediction:
    """The frozen backbone, in evaluation mode."""
    mode = "none" if evidence.batch is None else "stored"
    what = (
        "There is no batch normalization"
        if evidence.batch is None
        else "The stored statistics are used as they are"
    )
    reason = (
        f"{what}, so nothing of the difference vanishes: the features move by "
        f"{evidence.stored:.2f} of their spread."
    )
    size = evidence.stored
    if evidence.approach is None:
        return _no_sign(evidence, rule, "head", mode, size, reason)
    points = rule.of_head * evidence.approach * size
    reason += (
        f" {evidence.one} brings the data nearer to what is stored in the first batch "
        f"normalization by {evidence.approach:.0%} of the distance."
        if evidence.approach >= 0
        else f" {evidence.one} takes the data away from what is stored in the first "
        f"batch normalization: {evidence.other} is nearer by {-evidence.approach:.0%}."
    )
    if evidence.probe is None:
        reason += " Labels would tell more: a linear probe needs them."
    else:
        reason += _probe_in_words(evidence, evidence.probe)
        points = (points + rule.of_probe * evidence.probe.points) / 2
    return _decided(evidence, rule, "head", mode, size, points, reason)


def _recalibrated(evidence: Evidence, rule: Rule) -> Prediction:
    assert evidence.reestimated is not None
    size = evidence.reestimated
    reason = (
        "Statistics re-estimated on the data take up scale and shift, as batch "
        f"statistics do; the features still move by {size:.2f} of their spread."
    )
    name, mode, probe = "head_recalibrated", "reestimated", evidence.probe_reestimated
    if probe is None:
        return _no_sign(evidence, rule, name, mode, size, reason)
    reason += _probe_in_words(evidence, probe)
    points = rule.of_probe * probe.points
    return _decided(evidence, rule, name, mode, size, points, reason)


def _frozen_bn(evidence: Evidence, rule: Rule) -> Prediction:
    head = _head(evidence, rule)
    reason = (
        "It starts from the same features as a frozen backbone, but the weights can "
        "adapt: expect the same sign and most of the size."
    )
    points = rule.kept_when_frozen_bn * head.points
    return _decided(
        evidence, rule, "frozen_bn", head.mode, head.displacement, points, reason
    )


def _decided(
    evidence: Evidence,
    rule: Rule,
    training: str,
    mode: str,
    size: float,
    points: float,
    reason: str,
) -> Prediction:
    """Returns a prediction whose sign is followed where it is beyond the noise."""
    margin = max(rule.noise, rule.off + rule.off_share * abs(points))
    take = None
    if abs(points) >= rule.noise:
        take = evidence.one if points > 0 else evidence.other
    confidence = MODERATE if abs(points) > margin else LOW
    if size < rule.small:
        confidence = HIGH
    return Prediction(training, mode, size, points, margin, confidence, take, reason)


def _no_sign(
    evidence: Evidence, rule: Rule, training: str, mode: str, size: float, reason: str
) -> Prediction:
    """Returns a prediction of which only the size is known."""
    margin = max(rule.noise, rule.of_head * size)
    confidence = HIGH if size < rule.small else LOW
    return Prediction(training, mode, size, 0.0, margin, confidence, None, reason)


def _probe_in_words(evidence: Evidence, probe: Paired) -> str:
    return (
        f" A linear classifier of these features differs by {probe.points:+.1f} ± "
        f"{probe.error:.1f} points ({evidence.one} - {evidence.other}, standard error "
        f"over {evidence.images} images)."
    )


def _without_batch_norm(evidence: Evidence, rule: Rule) -> Prediction:
    size = evidence.stored
    reason = (
        "There is no batch normalization, so nothing takes up the difference but the "
        f"weights themselves: the features start {size:.2f} of their spread apart."
    )
    margin = max(rule.noise, rule.of_training * size)
    confidence = HIGH if size < rule.small else LOW
    return Prediction("all", "none", size, 0.0, margin, confidence, None, reason)


def in_words(prediction: Prediction) -> str:
    """Says how large an effect is expected, in a few words."""
    low = prediction.points - prediction.margin
    high = prediction.points + prediction.margin
    if math.isclose(prediction.points, 0.0, abs_tol=0.05):
        return f"none beyond ±{prediction.margin:.1f}"
    return f"{prediction.points:+.1f} ({low:+.1f} to {high:+.1f})"
