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

from __future__ import annotations

from typing import TYPE_CHECKING

from normtest_tf.diagnosis.findings import Explanation
from normtest_tf.diagnosis.parts import Parts, decomposition

if TYPE_CHECKING:
    from normtest_tf.diagnosis.explanation import explain
else:

    def __getattr__(name):  # noqa: ANN001, ANN202  (type checkers see the import above)
        """Imports `explain` when it is first used: it needs Keras."""
        if name != "explain":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from normtest_tf.diagnosis.explanation import explain

        return explain


__all__ = ["Explanation", "Parts", "decomposition", "explain"]
