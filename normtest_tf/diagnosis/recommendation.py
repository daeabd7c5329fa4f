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

    Attributes:
        noise: Effects below it can't be told from chance with a few seeds.
        small: Displacements below it are taken for none.
        large: Displacements above it are taken for a change of the inputs that may
            matter in any way of training.
        of_training: Effect expected per unit of displacement where all layers train.
        of_head: Effect per unit of displacement behind frozen statistics, where there
            are no labels for a linear probe.
        clear: Standard errors by which a linear probe's difference must differ from 0.
        of_probe: Effect on a trained head per point of the linear probe's.
        kept_when_frozen_bn: Share of a head's effect that remains where the other
            layers train behind frozen batch normalization.
        kept_after_few_steps: Weight of the stored statistics after a few steps: the
            momentum to the power of the steps, 0.9^20.
    """

    noise: float = 0.5
    small: float = 0.02
    large: float = 0.5
    of_training: float = 0.5
    of_head: float = 4.0
    clear: float = 2.5
    of_probe: float = 1.0
    kept_when_frozen_bn: float = 0.25
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
        nearer: Of the two, the setting whose data are nearer to the stored statistics;
            None without batch normalization.
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
    nearer: str | None
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
    else:
        reason += (
            " That is large: the network starts from other features. Training may make "
            "up for it, but not if it is short."
        )
    margin = max(rule.noise, rule.of_training * size)
    confidence = HIGH if size < rule.small else MODERATE if size < rule.large else LOW
    return Prediction("all", "batch", size, 0.0, margin, confidence, None, reason)


def _few(evidence: Evidence, rule: Rule) -> Prediction:
    assert evidence.batch is not None
    size = evidence.batch + rule.kept_after_few_steps * evidence.stored
    reason = (
        "As with all layers and many images, but evaluation uses running statistics, "
        "which after a few steps still hold a part of the stored ones; and with few "
        "images chance is larger."
    )
    margin = max(2 * rule.noise, rule.of_training * size)
    confidence = MODERATE if size < rule.large else LOW
    return Prediction(
        "few_images", "batch", size, 0.0, margin, confidence, None, reason
    )


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
    return _frozen(
        evidence, rule, "head", mode, evidence.stored, evidence.probe, reason
    )


def _recalibrated(evidence: Evidence, rule: Rule) -> Prediction:
    assert evidence.reestimated is not None
    size = evidence.reestimated
    reason = (
        "Statistics re-estimated on the data take up scale and shift, as batch "
        f"statistics do; the features still move by {size:.2f} of their spread."
    )
    return _frozen(
        evidence,
        rule,
        "head_recalibrated",
        "reestimated",
        size,
        evidence.probe_reestimated,
        reason,
    )


def _frozen_bn(evidence: Evidence, rule: Rule) -> Prediction:
    head = _head(evidence, rule)
    reason = (
        "It starts from the same features as a frozen backbone, but the weights can "
        "adapt: expect the same sign and a fraction of the size."
    )
    points = rule.kept_when_frozen_bn * head.points
    take = head.take if abs(points) >= rule.noise else None
    margin = max(2 * rule.noise, abs(points))
    return dataclasses.replace(
        head,
        training="frozen_bn",
        points=points,
        margin=margin,
        confidence=LOW,
        take=take,
        reason=reason,
    )


def _frozen(
    evidence: Evidence,
    rule: Rule,
    training: str,
    mode: str,
    size: float,
    probe: Paired | None,
    reason: str,
) -> Prediction:
    """Predicts what a linear layer on fixed features will do."""
    if probe is not None:
        points = rule.of_probe * probe.points
        margin = max(rule.noise, rule.clear * probe.error)
        is_clear = abs(points) > margin
        reason += (
            f" A linear classifier of these features differs by {probe.points:+.1f} "
            f"± {probe.error:.1f} points ({evidence.one} - {evidence.other}, standard "
            f"error over {evidence.images} images)."
        )
        take = (evidence.one if points > 0 else evidence.other) if is_clear else None
        sure = is_clear or margin <= 2 * rule.noise or size < rule.small
        confidence = MODERATE if sure else LOW
        if size < rule.small:
            confidence = HIGH
        return Prediction(
            training, mode, size, points, margin, confidence, take, reason
        )
    bound = rule.of_head * size
    if size < rule.small or evidence.nearer is None or mode == "reestimated":
        margin = max(rule.noise, bound)
        confidence = HIGH if size < rule.small else LOW
        return Prediction(training, mode, size, 0.0, margin, confidence, None, reason)
    sign = 1 if evidence.nearer == evidence.one else -1
    reason += (
        f" Take the setting whose data are nearer to the stored statistics, "
        f"{evidence.nearer}. Labels would tell more: a linear probe needs them."
    )
    return Prediction(
        training,
        mode,
        size,
        sign * bound / 2,
        max(rule.noise, bound),
        LOW,
        evidence.nearer if bound / 2 >= rule.noise else None,
        reason,
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
