"""Figures: functions that draw on matplotlib axes and return them.

    style            colours of the settings, axes, files
    curves           test accuracy by epoch
    forest           a comparison: each cell's difference with its interval
    report_figures   the two figures of a report
    confusion        an evaluation's confusion matrix
    diagnosis        the figure of a diagnosis
    report           draws these and writes the report around them
    quickstart       the quickstart's figure
    answer, probe    the figures of README and docs/diagnosis.md

`studies/NAME/` holds committed studies: runs, tables, figures and report. Importing
this package does not import matplotlib.
"""

import os

# Figures go to files. A notebook's backend may not even be importable here.
os.environ["MPLBACKEND"] = "Agg"
