"""How well a classifier does on labelled images, normalised as in training or not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from normtest_tf import datasets, errors
from normtest_tf.normalization import ChannelStatistics, Setting
from normtest_tf.text import shown

if TYPE_CHECKING:
    from normtest_tf.export.prediction import Classifier

BLOCK = 256  # Images classified at a time.
_MAX_NAMED = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What a classifier made of labelled images."""

    class_names: Sequence[str]  # The model's.
    counts: np.ndarray  # By true (row) and predicted class, int64 `[classes, classes]`.

    def to_json(self) -> dict[str, Any]:
        """Returns accuracy and its interval, also of each class that has images."""
        right, images = self.counts.diagonal().tolist(), self.counts.sum(1).tolist()
        rows = zip(self.class_names, right, images, strict=True)
        return {
            **share(sum(right), sum(images)),
            "per_class": [{"class": name, **share(k, n)} for name, k, n in rows if n],
        }


def share(correct: int, images: int) -> dict[str, Any]:
    """Returns an accuracy, its 95% interval (Wilson's) and counts, ready for JSON."""
    from scipy import stats

    low, high = stats.binomtest(correct, images).proportion_ci(method="wilson")
    return {
        "accuracy": correct / images,
        "interval": [float(low), float(high)],
        "correct": correct,
        "images": images,
    }


def in_words(found: dict[str, Any]) -> str:
    """Returns what `share` found, as `82.5% (81.7 to 83.2) of 10,000 images`."""
    low, high = (100 * limit for limit in found["interval"])
    return f"{found['accuracy']:.1%} ({low:.1f} to {high:.1f}) of {found['images']:,}"


def evaluate(
    classifier: Classifier,
    images: datasets.Images,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    swap_channels: bool = False,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Evaluation:
    """Classifies images, uint8 RGB, whose labels are indices into `class_names`.

    The model must have all classes, in any order. `swap_channels` gives it BGR images,
    as OpenCV reads them. `progress` wraps the range of blocks, to show how far it is.
    """
    truth = _as_the_model_numbers(classifier.class_names, class_names)[labels]
    counts = np.zeros([len(classifier.class_names)] * 2, np.int64)
    if (truth < 0).any():
        unknown = [class_names[label] for label in np.unique(labels[truth < 0])]
        raise errors.UsageError(
            f"the model has no class {shown(', '.join(unknown[:_MAX_NAMED]))}. Name "
            "the images' classes as the model does: "
            f"{shown(', '.join(classifier.class_names[:_MAX_NAMED]))}, ..."
        )
    for start in progress(range(0, len(truth), BLOCK)):
        block = np.asarray(images[start : start + BLOCK])
        rows = classifier.probabilities(block[..., ::-1] if swap_channels else block)
        np.add.at(counts, (truth[start : start + BLOCK], rows.argmax(axis=1)), 1)
    return Evaluation(classifier.class_names, counts)


def _as_the_model_numbers(ours: Sequence[str], theirs: Sequence[str]) -> np.ndarray:
    """Maps each class of the images to the model's index, -1 if it has none."""
    if list(ours) == list(theirs):  # Some sets have two classes of one name.
        return np.arange(len(ours))
    return np.array([ours.index(name) if name in ours else -1 for name in theirs])


def renormalised(
    classifier: Classifier,
    setting: Setting,
    statistics: ChannelStatistics | None,
    channel_order: str = "rgb",
) -> Classifier:
    """Returns a run's classifier with the same weights behind another normalization."""
    import keras

    image, _, *layers = classifier.model.layers  # Every run's model is a chain.
    x = setting.layer(statistics, image.batch_shape[1:], channel_order)(image.output)
    for layer in layers:
        x = layer(x)
    return dataclasses.replace(classifier, model=keras.Model(image.output, x))
