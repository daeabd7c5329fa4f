"""What the programs share; nothing here is run by users.

    program          how every program runs: flags, errors, exit status
    flags            flags made from the fields of `RunConfig`
    speed            the two sides of experiments.benchmark
    parity           the two sides of experiments.parity
    pytorch          imports PyTorch, timm and torchvision

Importing this package imports none of these.
"""
