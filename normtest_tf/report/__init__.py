"""A report's tables and text, as Markdown, HTML and CSV.

    rows      its tables as data, and as CSV files
    sections  pieces of Markdown made from the rows
    document  everything that a report states, composed and written

Nothing here draws: `plots.report` makes the figures that a document refers to.
Importing this package is light.
"""
