"""Ours against timm's: the same weights and inputs in, the same numbers out.

The comparisons are in `experiments.support.parity`. `golden/` holds short digests of
PyTorch's numbers, so that the comparisons also run where PyTorch is not installed.
`python -m tests.parity.golden` renews these files where it is installed.
"""
