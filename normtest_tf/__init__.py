"""Which statistics should normalise the inputs of a fine-tuned CNN?

Importing this package is light: Keras and TensorFlow come in with the modules
that need them.

    normtest_tf.normalization   the settings and their Keras layers
    normtest_tf.datasets        the data sets, in memory
    normtest_tf.pipeline        tf.data: shuffle, batch, augment
    normtest_tf.backbones       the networks and their pre-trained weights
    normtest_tf.classifier      normalization + backbone + head, on raw pixels
    normtest_tf.training        the recipe
    normtest_tf.runs            a run's configuration, folder and results
    normtest_tf.finetuning      one run, end to end
    normtest_tf.effects         paired differences and their intervals
    normtest_tf.verdicts        what they show, in words
"""

__version__ = "0.1.0"
