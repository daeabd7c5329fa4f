"""Published channel statistics of further sets of TensorFlow Datasets.

They are for orientation: a run in the setting `finetune` measures its own. Each entry
was read at its source. Definitions differ: to the mean of each image's std, an image's
own brightness does not contribute, which makes it smaller.
"""

from __future__ import annotations

from normtest_tf.datasets.descriptions import DATASETS
from normtest_tf.normalization import ChannelStatistics

_PREFIX = "tfds:"
_DEFAULT_CONFIGS = {"emnist": "emnist/byclass", "eurosat": "eurosat/rgb"}

_EXAMPLES = "https://github.com/pytorch/examples, mnist/main.py"
_CALCULATION = "https://github.com/chatflip/CalculationMeanStd"
_RECOGNITION = "https://github.com/chatflip/ImageRecognitionDataset (all images)"
_BOLTS = (
    "https://github.com/Lightning-Universe/lightning-bolts, "
    "src/pl_bolts/transforms/dataset_normalizations.py"
)
_SEMILEARN = (
    "https://github.com/microsoft/Semi-supervised-learning, "
    "semilearn/datasets/cv_datasets/stl10.py"
)
_DECAL = (
    "https://richarddecal.com/data-science/"
    "use-these-normalization-values-for-torchvision-datasets"
)


def _grey(mean: float, std: float, source: str) -> ChannelStatistics:
    """Returns pooled statistics of grey images, which are read as RGB."""
    return ChannelStatistics((mean,) * 3, (std,) * 3, "pooled", source)


PUBLISHED: dict[str, ChannelStatistics] = {
    "mnist": _grey(0.1307, 0.3081, _EXAMPLES),
    "fashion_mnist": _grey(0.2860, 0.3530, _CALCULATION),
    "emnist/balanced": _grey(0.175, 0.333, _BOLTS),
    "emnist/byclass": _grey(0.174, 0.332, _BOLTS),
    "emnist/bymerge": _grey(0.174, 0.332, _BOLTS),
    "emnist/digits": _grey(0.173, 0.332, _BOLTS),
    "emnist/letters": _grey(0.172, 0.331, _BOLTS),
    "emnist/mnist": _grey(0.173, 0.332, _BOLTS),
    "stl10": ChannelStatistics(  # 112.4, 109.1, 98.6 and 68.4, 66.6, 68.5 of 255.
        (0.4408, 0.4278, 0.3867), (0.2682, 0.2612, 0.2686), "pooled", _SEMILEARN
    ),
    "caltech101": ChannelStatistics(
        (0.5487, 0.5313, 0.5050), (0.2497, 0.2467, 0.2483), "per-image", _RECOGNITION
    ),
    "dtd": ChannelStatistics(
        (0.52879, 0.47304, 0.42472), (0.18396, 0.18477, 0.18067), "per-image", _DECAL
    ),
    "eurosat/rgb": ChannelStatistics(
        (0.34438, 0.38029, 0.40777), (0.09137, 0.06512, 0.05524), "per-image", _DECAL
    ),
    "oxford_flowers102": ChannelStatistics(
        (0.43296, 0.38192, 0.29638), (0.26207, 0.21327, 0.22484), "per-image", _DECAL
    ),
}


def published_statistics(name: str) -> ChannelStatistics | None:
    """Returns the published channel statistics of a data set.

    Args:
        name: A name in TensorFlow Datasets, with its config if it has some, with or
            without a leading `tfds:` and a trailing `:VERSION`; or a key of `DATASETS`.

    Returns:
        The statistics, None if none are known.

    Example:
    ```python
    assert published_statistics("tfds:mnist").mean == (0.1307, 0.1307, 0.1307)
    ```
    """
    name = name.removeprefix(_PREFIX).partition(":")[0]
    if name in DATASETS:
        return DATASETS[name].published_statistics
    return PUBLISHED.get(_DEFAULT_CONFIGS.get(name, name))
