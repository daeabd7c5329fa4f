"""What finished runs show: effects, their uncertainty, and verdicts.

    results        a results folder read back: finished and missing runs
    consistency    whether a run's files belong together and to their folder
    effects        means and their intervals
    significance   p-values of paired differences, and Holm's correction
    power          how many pairs detect a difference
    verdicts       the verdict on each cell's differences, in words
    noise          by how much runs differ that should not
    calibration    what a diagnosis predicted beside what was measured
    comparisons    one setting against another, over all cells

`effects`, `significance`, `power` and `verdicts` are functions of numbers: they know
nothing about settings, files or Keras. Importing this package is light; scipy comes in
with the modules that need it.
"""

from normtest_tf.analysis.results import Results, Run
from normtest_tf.runs import Cell

__all__ = ["Cell", "Results", "Run"]
