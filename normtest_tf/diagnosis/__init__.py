"""A diagnosis before training: which input statistics to take, and why.

    explanation    explain(): the diagnosis of a model and images
    inputs         the images that a diagnosis takes, and its notes
    probes         a copy of a network that shows the inputs of its batch norms
    distances      those inputs' statistics, and how far they are from the stored ones
    parts          decomposition(): the split of a difference into four parts
    linear_probe   a linear classifier of frozen features, in closed form
    advice         which setting to take, by way of training
    findings       what was found, as data and as text

Importing this package does not import Keras.
"""

from normtest_tf.diagnosis.explanation import explain
from normtest_tf.diagnosis.findings import Explanation
from normtest_tf.diagnosis.parts import Parts, decomposition

__all__ = ["Explanation", "Parts", "decomposition", "explain"]
