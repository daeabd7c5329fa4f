"""A report's tables and text, as Markdown, HTML and CSV.

    content      everything that a report states, computed once
    rows         its tables as data
    csv_files    these as CSV, in the wording of version 0.1.0
    sections     pieces of Markdown made from the rows
    predictions  what a diagnosis predicted, beside what was measured
    document     report.md and the tables, composed and written; the report's file names
    html_page    report.md as one self-contained page
    summary      one cell in a few lines, for a terminal

Nothing here draws: `plots.report` makes the figures that a document refers to.
Importing this package is light.
"""
