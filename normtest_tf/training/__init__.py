"""One fine-tuning in memory: the model, the images, the recipe and the loop.

    choices          what flags choose: regimes, optimizers, augmentations, seeds
    classifier       normalization + backbone + head, on raw pixels
    pipeline         batches of images, with tf.data, and their augmentation
    training_copy    the copy of a model that is trained, its layers and statistics
    recipe           epochs, batches, learning rate, optimizer
    loop             epochs, evaluations, progress, state to resume from
    environment      devices, precision, versions, determinism

Nothing here knows about run folders. `choices` imports neither Keras nor TensorFlow.
"""

from typing import TypeAlias

# One epoch's row of a history, by column: `epoch` (from 1), `learning_rate`,
# `train_loss`, `train_accuracy`, loss and accuracy of each evaluation (`test_loss`,
# ...), `seconds` and `images_per_second` of training without evaluation. Losses are
# mean cross-entropies in nats, accuracies from 0 to 1.
EpochRow: TypeAlias = dict[str, float]
