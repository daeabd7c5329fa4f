"""The same computations in Keras and in PyTorch, compared.

    cases      seeded weights and inputs, from NumPy alone
    ours       named arrays computed from them with Keras
    float64    Keras in float64, under every backend
    gradients  a training step's, under every backend of Keras
    exports    a classifier, and the folder that timm loads it from
    theirs     the same arrays computed with timm and PyTorch
    checks     what is compared, how closely, and how far apart the two sides are
    epoch      a whole epoch of real images, step by step
    page       docs/parity.md

`experiments.parity` compares the two sides live. `tests/parity` keeps digests of
PyTorch's arrays, so that the comparison also runs where PyTorch is not installed.
"""
