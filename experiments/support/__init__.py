"""What the programs share; nothing here is run by users.

    program          how every program runs: flags, errors, exit status
    commas           paths with commas, in flags that are split at commas
    assignments      MODEL=WEIGHTS, the values of a sweep's --weights
    flags            flags made from the fields of `RunConfig`
    pages            docs/settings.md and docs/flags.md
    speed            the two sides of experiments.benchmark
    parity           the two sides of experiments.parity
    pytorch          imports PyTorch, timm and torchvision
    timm_tags        the weights that timm publishes
    fault_campaign   killed processes and full disks, for experiments.faults
    corruption       corrupt checkpoints and weights files, likewise

Importing this package imports none of these.
"""
