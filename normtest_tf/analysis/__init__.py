"""What finished runs show: effects, their uncertainty, and verdicts.

    results        a results folder read back: finished and missing runs
    effects        means, intervals, p-values, and how many pairs detect a difference
    verdicts       the verdict on each cell's differences, in words
    comparisons    one setting against another, over all cells
    policies       what a rule for choosing a setting would have lost
    published      the PyTorch study's accuracies, and others to compare with

`effects` and `verdicts` are functions of numbers: they know nothing about settings,
files or Keras. Importing this package is light; scipy comes in with the modules that
need it.
"""

from normtest_tf.analysis.results import Results, Run
from normtest_tf.runs import Cell

__all__ = ["Cell", "Results", "Run"]
