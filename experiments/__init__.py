"""Programs; run them from the repository's root as `python -m experiments.NAME`.

    train        fine-tunes one network on one data set, in one normalization setting
    sweep        runs a grid of data sets, models, settings and seeds
    report       compares finished runs: tables, figures and a verdict
    statistics   mean and std of a data set's images, beside ImageNet's
    explain      before training: which statistics to take, and why
    quickstart   the whole experiment in miniature, offline
    export       a run's model in another format, verified
    predict      classifies image files with a run's model
    evaluate     accuracy on labelled images, normalised as in training or otherwise
    pretrain     trains one of our own networks from scratch
    benchmark    training speed compared with PyTorch's
    parity       numerical agreement with PyTorch; writes docs/parity.md
    networks     lists all pre-trained weights, with licences and origins

    support      what these programs share

`presets/` has flagfiles of whole studies.
"""

import signal
import sys

# While Python looks for the program, `-m` stands for its name. Until the program has
# begun, Ctrl-C ends it without a traceback.
if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
