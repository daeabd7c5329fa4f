"""Ours against timm's: the same weights and inputs in, the same numbers out.

The comparisons are in `experiments.support.parity`. `golden` keeps short digests of
PyTorch's numbers in `golden/`, so that they also run where PyTorch is not installed.
`python -m tests.parity.golden` writes these files again, where it is.
"""
