"""The images that a model is trained and evaluated on, in batches.

    names           the augmentations, and which of them a run uses
    augmentation    random crops and flips of a batch
    stacks          which batches are trained on in one call of the device
    pipeline        tf.data: shuffle, batch, augment
    splits          what is trained on, and what is evaluated
    batches         refuses batches too small for batch normalization

All modules but `names` and `stacks` import TensorFlow or Keras.
"""
