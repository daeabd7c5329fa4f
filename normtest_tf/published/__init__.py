"""The PyTorch study's numbers, to compare with."""
