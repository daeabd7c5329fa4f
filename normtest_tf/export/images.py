"""The images on which an export is compared with the run's model."""

from __future__ import annotations

import numpy as np

from normtest_tf import datasets, errors, text
from normtest_tf.runs import ConfigRecord, RunFolder, identity
from normtest_tf.text import Notify

SEED = 223
# What a run's data set must be called, by the start of its recorded name.
_PATTERNS = {pattern.partition(":")[0]: pattern for pattern in datasets.PATTERNS}


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
    notify: Notify = text.ignore,
) -> np.ndarray:
    """Loads the first test images of a run's data set.

    Args:
        folder: The run's folder.
        count: The number of images; fewer are returned if there are fewer.
        dataset: The data set's name again, required if it is a folder or a table of
            images or a set of TFDS.
        data_dir: Where data sets are; see `datasets.load`.
        notify: Called with messages about the images.

    Returns:
        uint8 `[n, height, width, 3]`.

    Raises:
        UsageError: If the data set is another one, or has other content than it had
            for the run, or can't be loaded.
    """
    record = ConfigRecord.read(folder)
    requested = record.requested
    name = dataset_name(requested["dataset"], dataset)
    options = datasets.ReadingOptions.among(requested, data_dir=data_dir)
    loaded = datasets.load(name, options, notify)
    _check_is_the_runs(record, loaded, name)
    return np.asarray(loaded.test_images[:count])


def _check_is_the_runs(
    record: ConfigRecord, dataset: datasets.ImageDataset, name: str
) -> None:
    """Raises `UsageError` if a run used other images, labels or classes."""
    requested = record.requested
    names = ("train_examples", "test_examples", "examples_per_class")
    counts = [requested.get(name) for name in names]
    try:
        used = dataset.take(*counts)
    except errors.UsageError as error:
        changes = [errors.one_line(error)]
    else:
        if used.fingerprint() == record.data_fingerprint:
            return
        changes = identity.data_changes(record, used)
    raise errors.UsageError(
        f"{name} is not what it was for this run: {'; '.join(changes)}. Pass the run's "
        "own data with --dataset or --data_dir, or omit --check_on=test to compare on "
        "random pixels"
    )


def dataset_name(recorded: str, given: str | None) -> str:
    """Returns the name under which a run's data set can be loaded.

    Args:
        recorded: Its name in the run's record, which contains no paths.
        given: The value of `--dataset`, if there is one.

    Raises:
        UsageError: If the record is not enough to load it, or `given` is another
            data set; the message says what to pass.
    """
    is_elsewhere = recorded not in datasets.DATASETS
    pattern = _PATTERNS.get(recorded.partition("-")[0], "folder:PATH")
    needed = f"--dataset={pattern if is_elsewhere else recorded}"
    if given is None:
        if not is_elsewhere:
            return recorded
        raise errors.UsageError(
            f"--check_on=test needs {needed}: the run's data set is recorded as "
            f"{recorded!r}, which does not say where it is"
        )
    # Other names are not looked up: errors would suggest yet other data sets.
    if given.partition(":")[0] in _PATTERNS and ":" in given:
        if datasets.slug(given) == recorded:
            return given
    elif given == recorded and not is_elsewhere:
        return given
    where = ", where PATH is that folder or file" if needed.endswith("PATH") else ""
    raise errors.UsageError(
        f"--dataset={given} is not the run's data set, which was {recorded!r}; pass "
        f"{needed}{where}"
    )
