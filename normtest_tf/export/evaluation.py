"""How well a classifier does on labelled images, normalised as in training or not."""

from __future__ import annotations

import csv
import dataclasses
import io
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
    """What a classifier made of labelled images.

    Attributes:
        class_names: The model's classes.
        counts: Images by true (row) and predicted class, int64 `[classes, classes]`.
    """

    class_names: Sequence[str]
    counts: np.ndarray

    def __add__(self, other: Evaluation) -> Evaluation:
        return dataclasses.replace(self, counts=self.counts + other.counts)

    def to_json(self) -> dict[str, Any]:
        """Returns accuracy, its interval, and both for each class, ready for JSON."""
        right, images = self.counts.diagonal().tolist(), self.counts.sum(1).tolist()
        rows = zip(self.class_names, right, images, strict=True)
        return {
            **share(sum(right), sum(images)),
            "per_class": [{"class": name, **share(k, n)} for name, k, n in rows],
        }

    def to_csv(self) -> str:
        """Returns the confusion matrix, a line for each true class."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["true \\ predicted", *self.class_names])
        for name, row in zip(self.class_names, self.counts.tolist(), strict=True):
            writer.writerow([name, *row])
        return text.getvalue()

    def __str__(self) -> str:
        """Says how accurate it is, where least, and what is confused most."""
        found, names = self.to_json(), self.class_names
        tested = [one for one in found["per_class"] if one["images"]]
        tested.sort(key=lambda one: one["accuracy"])
        lowest = [
            f"{shown(one['class'])} {in_words(one)}" for one in tested[:_MAX_NAMED]
        ]
        errors_of = self.counts - np.diag(self.counts.diagonal())
        order = np.argsort(-errors_of, axis=None, kind="stable")[:_MAX_NAMED]
        pairs = zip(*np.unravel_index(order, errors_of.shape), strict=True)
        confused = [
            f"{shown(names[i])} as {shown(names[j])} {errors_of[i, j]:,}"
            for i, j in pairs
            if errors_of[i, j]
        ]
        lines = [f"accuracy  {in_words(found)}", "lowest    " + "; ".join(lowest)]
        return "\n".join([*lines, "confused  " + ("; ".join(confused) or "nothing")])


def share(correct: int, images: int) -> dict[str, Any]:
    """Returns an accuracy, its 95% interval (Wilson's) and counts, ready for JSON."""
    from scipy import stats

    if not images:
        return {"accuracy": None, "interval": None, "correct": 0, "images": 0}
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
    """Classifies labelled images.

    Args:
        classifier: From `prediction.load`.
        images: uint8 `[n, height, width, 3]` of the model's size, RGB, n > 0.
        labels: int `[n]`, indices into `class_names`.
        class_names: Of the labels; in any order, as long as the model has them all.
        swap_channels: Whether to give the model BGR images, as OpenCV reads them.
        progress: Wraps the range of blocks, to show how far it is.

    Returns:
        The counts of true and predicted classes.

    Raises:
        UsageError: If there are images of a class that the model doesn't have.

    Example:
    ```python
    classifier = prediction.load(run_folder)
    print(evaluate(classifier, images, labels, classifier.class_names))
    ```
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
    """Returns our number of each of their classes, -1 for one that we lack."""
    if list(ours) == list(theirs):  # Some sets have two classes of one name.
        return np.arange(len(ours))
    return np.array([ours.index(name) if name in ours else -1 for name in theirs])


def renormalised(
    classifier: Classifier,
    setting: Setting,
    statistics: ChannelStatistics | None,
    channel_order: str = "rgb",
) -> Classifier:
    """Returns a run's classifier with the same weights behind another normalization.

    Args:
        classifier: From `prediction.load`.
        setting: How its inputs are to be normalised.
        statistics: From the setting's `statistics`.
        channel_order: What its network takes: `rgb` or `bgr`.
    """
    import keras

    image, _, *layers = classifier.model.layers  # Every run's model is a chain.
    x = setting.layer(statistics, image.batch_shape[1:], channel_order)(image.output)
    for layer in layers:
        x = layer(x)
    return dataclasses.replace(classifier, model=keras.Model(image.output, x))
