"""The images that a model is trained and evaluated on, in batches.

    names           the augmentations, and which of them a run uses
    augmentation    random crops and flips of a batch
    pipeline        tf.data: shuffle, batch, augment
    splits          what is trained on, and what is evaluated
    batches         refuses batches too small for batch normalization

All modules but `names` import TensorFlow or Keras.
"""
