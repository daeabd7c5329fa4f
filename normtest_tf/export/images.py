"""The images on which an export is compared with the run's model."""

from __future__ import annotations

import numpy as np

from normtest_tf import datasets, errors
from normtest_tf.runs import ConfigRecord, RunFolder

SEED = 223


def random_images(image_shape: tuple[int, int, int], count: int) -> np.ndarray:
    """Returns images of random pixels, the same ones in every call.

    Args:
        image_shape: Height, width and 3.
        count: The number of images.

    Returns:
        uint8 `[count, height, width, 3]`, with values from 0 to 255.
    """
    generator = np.random.default_rng(SEED)
    return generator.integers(0, 256, (count, *image_shape), dtype=np.uint8)


def first_test_images(
    folder: RunFolder,
    count: int,
    *,
    dataset: str | None = None,
    data_dir: str | None = None,
) -> np.ndarray:
    """Loads the first test images of a run's data set.

    Args:
        folder: The run's folder.
        count: The number of images; fewer are returned if there are fewer.
        dataset: The data set's name again, required if it is a folder of images.
        data_dir: Where data sets are; see `datasets.load`.

    Returns:
        uint8 `[n, height, width, 3]`.

    Raises:
        UsageError: If the data set is another one, or can't be loaded.
    """
    requested = ConfigRecord.read(folder).requested
    name = dataset_name(requested["dataset"], dataset)
    loaded = datasets.load(name, data_dir, requested.get("image_size"))
    return loaded.test_images[:count]


def dataset_name(recorded: str, given: str | None) -> str:
    """Returns the name under which a run's data set can be loaded.

    Args:
        recorded: Its name in the run's record, which contains no paths.
        given: The value of `--dataset`, if there is one.

    Raises:
        UsageError: If the record is not enough to load it, or `given` is another
            data set.
    """
    if given is None and recorded not in datasets.DATASETS:
        raise errors.UsageError(
            f"--check_on=test needs --dataset=folder:PATH: the run's data set was "
            f"{recorded!r}, and records contain no paths"
        )
    if given is not None and datasets.slug(given) != recorded:
        raise errors.UsageError(
            f"--dataset={given} is not the run's data set, which was {recorded!r}"
        )
    return given or recorded
