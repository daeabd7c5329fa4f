"""Published accuracies to compare with: the PyTorch study's and others.

    load(name_or_path)   a `PublishedTable`, from one of the study's two editions, from
                         the folders that its code writes, or from our own results
    EDITIONS             the two tables that the study published

    tables            PublishedTable, with its runs and their conditions
    editions          what was published, with its known weaknesses
    pytorch_folders   the folders that the PyTorch study's code writes

Importing this package is light.
"""

from normtest_tf.published.editions import EDITIONS, WEIGHTS, Edition, load
from normtest_tf.published.tables import Condition, PublishedRun, PublishedTable

__all__ = [
    "EDITIONS",
    "WEIGHTS",
    "Condition",
    "Edition",
    "PublishedRun",
    "PublishedTable",
    "load",
]
