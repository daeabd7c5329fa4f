"""A diagnosis before training: what the choice of input statistics will do, and why.

    explanation      explain(): the diagnosis of a model and images
    images           the images used: an array or a tf.data data set
    checks           what makes a diagnosis impossible or doubtful
    probes           a copy of a network that shows the inputs of its batch norms
    moments          those inputs' statistics, and the two modes
    mismatch         their distance from the stored statistics
    parts            decomposition(): the split of a difference into four parts
    linear_probe     a linear classifier of frozen features, in closed form
    recommendation   the rule that turns measurements into expected effects
    result           the findings, as data
    words            the findings, as text

Importing this package does not import Keras.

Example:
```python
from normtest_tf import diagnosis

found = diagnosis.explain(backbone, images, labels=labels)
print(found.to_text())
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normtest_tf.diagnosis.mismatch import distance
from normtest_tf.diagnosis.moments import BATCH, MODES, STORED, Moments
from normtest_tf.diagnosis.parts import Parts, decomposition
from normtest_tf.diagnosis.recommendation import RULE, Prediction, Rule, predict
from normtest_tf.diagnosis.result import Explanation

if TYPE_CHECKING:
    from normtest_tf.diagnosis.explanation import explain
else:

    def __getattr__(name):  # noqa: ANN001, ANN202  (type checkers see the import above)
        """Imports `explain` when it is first used: it needs Keras."""
        if name != "explain":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from normtest_tf.diagnosis.explanation import explain

        return explain


__all__ = [
    "BATCH",
    "MODES",
    "RULE",
    "STORED",
    "Explanation",
    "Moments",
    "Parts",
    "Prediction",
    "Rule",
    "decomposition",
    "distance",
    "explain",
    "predict",
]
