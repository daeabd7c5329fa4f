"""Figures: functions that draw on matplotlib axes and return them.

    style         colours of the settings, axes, files
    curves        test accuracy by epoch
    forest        a comparison: each cell's difference with its interval
    differences   the paired differences of one cell
    study         the two figures of a report
    quickstart    the quickstart's figure
    report        draws a report's figures and writes its text around them

`studies/NAME/` holds committed studies: runs, tables, figures and report. Importing
this package does not import matplotlib.
"""
