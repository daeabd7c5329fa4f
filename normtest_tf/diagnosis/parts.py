"""What a difference between two settings consists of.

Two settings that are constants differ by z_one = a * z_other + b in each channel. On
the way from `other` to `one`, four things change, in this order:

    scale    z_other * g, with g the geometric mean of a: the channels' common scale
    ratio    z_other * a: the ratios between the channels' scales
    shift    a * z_other + b, with the first convolution padded with b: b is what 0
             becomes, so inside and at the border every value is shifted alike
    border   the padding is 0 again, as it is in the network: next to shifted images,
             it is another colour

A part's measure is the displacement of the network's last features by its step. With
batch normalization in training mode, scale (up to epsilon) and shift displace nothing,
where a convolution without activation and a batch normalization come first. With stored
statistics everything counts. Steps are vectors: their sizes don't add up to the total.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from normtest_tf import errors
from normtest_tf.diagnosis import inputs
from normtest_tf.diagnosis.distances import rms
from normtest_tf.normalization import ChannelStatistics
from normtest_tf.normalization.statistics import change

if TYPE_CHECKING:
    import keras

    from normtest_tf.diagnosis.probes import Probe


@dataclasses.dataclass(frozen=True)
class Parts:
    """Displacements of the last features, in one mode of batch normalization.

    Each is the root mean square change over images and features, divided by the root
    mean square deviation of the features under `other` from their means over images.
    `border` is None, and a part of `shift`, if the network does not start with a
    convolution whose padding can be chosen.
    """

    scale: float
    ratio: float
    shift: float
    border: float | None
    total: float


def decomposition(
    model: keras.Model | Probe,
    images: np.ndarray,
    one: ChannelStatistics,
    other: ChannelStatistics,
    *,
    channel_order: str = "rgb",
    ends: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> dict[str, Parts]:
    """Splits the difference between two settings into its parts.

    Args:
        model: Takes normalised images, float `[n, height, width, 3]`; functional or
            sequential. A classifier at its end is left out. Or a `Probe` of it.
        images: uint8 `[n, height, width, 3]`, RGB, at least 2.
        one: The constants of a setting, in RGB order.
        other: Those that it is compared with.
        channel_order: What the model takes: `rgb` or `bgr`.
        ends: The features under `other` and under `one` by mode, if they are known.

    Returns:
        The parts by mode: `stored` (batch normalization as in evaluation) and, if there
        is batch normalization, `batch` (as in training).

    Raises:
        UsageError: If the model is of another kind, or the features don't vary.
    """
    from normtest_tf.diagnosis.probes import Probe

    probe = model if isinstance(model, Probe) else Probe(model)
    step = {"rgb": 1, "bgr": -1}[channel_order]
    a, b = (values[::step] for values in change(given=other, wanted=one))
    blocks = [normalised(some, other, step) for some in inputs.batches(images)]
    ends = ends or {}
    return {
        mode: _parts(probe, blocks, a, b, mode, ends.get(mode)) for mode in probe.modes
    }


def normalised(
    images: np.ndarray, statistics: ChannelStatistics, step: int = 1
) -> np.ndarray:
    """Normalises RGB images in float64; with -1 as `step`, returns BGR."""
    pixels = images.astype(np.float64) / 255
    return ((pixels - statistics.mean) / statistics.std)[..., ::step]


def displacement(features: np.ndarray, reference: np.ndarray) -> float:
    """Returns how far features `[n, features]` have moved from `reference`."""
    return _size(features - reference, _spread(reference))


def _parts(
    probe: Probe,
    blocks: Sequence[np.ndarray],
    a: np.ndarray,
    b: np.ndarray,
    mode: str,
    ends: tuple[np.ndarray, np.ndarray] | None,
) -> Parts:
    """Measures every step in one mode."""

    def features(change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        changed = (change(block) for block in blocks)
        return probe.see(changed, mode, record=False).features

    common = np.exp(np.mean(np.log(a)))
    start, end = ends or (features(lambda z: z), features(lambda z: a * z + b))
    scaled = features(lambda z: common * z)
    ratios = features(lambda z: a * z)
    measured = functools.partial(_size, unit=_spread(start))
    shifted, border = end, None
    if probe.has_border:
        probe.pad_with(b)  # The images are then a * z + b, less the padding's colour b.
        shifted = features(lambda z: a * z)
        probe.pad_with(None)
        border = measured(end - shifted)
    return Parts(
        scale=measured(scaled - start),
        ratio=measured(ratios - scaled),
        shift=measured(shifted - ratios),
        border=border,
        total=measured(end - start),
    )


def _size(change: np.ndarray, unit: float) -> float:
    return rms(change) / unit


def _spread(features: np.ndarray) -> float:
    """Returns the root mean square deviation from the means over images."""
    spread = float(np.sqrt(np.mean(np.var(features, axis=0))))
    if not spread > 0:
        raise errors.UsageError(
            "the network's features are the same for all images; nothing to compare"
        )
    return spread
