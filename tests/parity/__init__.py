"""Ours against timm's: the same weights and inputs, the same numbers out.

`cases` makes seeded weights and inputs with NumPy alone, `ours` and `theirs` turn
them into named arrays, `checks` compares those. `golden` keeps short digests of
theirs, so that the comparison also runs where PyTorch is not installed.
"""
