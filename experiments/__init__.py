"""Programs; run them as `python -m experiments.NAME`."""
