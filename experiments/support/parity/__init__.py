"""The same computations in Keras and in PyTorch, compared."""
