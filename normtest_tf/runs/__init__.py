"""One run and its folder: the configuration, the files and their format.

    config        a run's configuration; each field is a flag with its limits
    folder        every file name, paths and run names, plan.json, history.csv, rules
    record        config.json, result.json and others, and whether a run is the same
    metadata      what a model says about itself: classes, statistics, accuracy
    model_file    writes `.keras` files: equal bytes, and loadable by older Keras
    recorder      writes the folder while a run trains; checkpoints to resume from
    finetuning    one run, end to end

Importing this package does not import TensorFlow.
"""

from normtest_tf.runs.config import RunConfig
from normtest_tf.runs.folder import RULES, Cell, Rule, RunFolder, RunName
from normtest_tf.runs.record import ConfigRecord, FailureRecord, ResultRecord

__all__ = [
    "RULES",
    "Cell",
    "ConfigRecord",
    "FailureRecord",
    "ResultRecord",
    "Rule",
    "RunConfig",
    "RunFolder",
    "RunName",
]
