"""What of a data set is trained on, and what is evaluated."""

from __future__ import annotations

from normtest_tf import datasets
from normtest_tf.text import Notify
from normtest_tf.training import loop
from normtest_tf.training.data import names


def hold_out(
    dataset: datasets.ImageDataset,
    validation_examples: int,
    seed: int,
    augmentation: str | None,
    notify: Notify,
) -> tuple[datasets.ImageDataset, loop.TrainingData]:
    """Holds out validation images.

    Args:
        dataset: All images.
        validation_examples: How many training images to hold out, stratified by class.
        seed: The data seed.
        augmentation: How training images are varied; None for the default.
        notify: Called with a message if the default is another one for large images.

    Returns:
        The remaining data set, and what to train and evaluate on.
    """
    evaluations = {"test": loop.Split(dataset.test_images, dataset.test_labels)}
    if validation_examples:
        dataset, images, labels = datasets.split_validation(
            dataset, validation_examples, seed
        )
        evaluations["validation"] = loop.Split(images, labels)
    train = loop.Split(dataset.train_images, dataset.train_labels)
    name = names.resolve(augmentation, dataset.image_shape[0], notify)
    return dataset, loop.TrainingData(train, evaluations, seed, name)
