"""One run and its folder: the configuration, the files and their format.

    config        a run's configuration; each field is a flag with its limits
    folder        every file name, paths to and from a run's identity, plan.json
    record        config.json, result.json, failed.json, predictions.npz, as records
    history       history.csv, and the rules for choosing one of its epochs
    identity      whether two runs are the same run
    checkpoints   a run's progress, and the files that it resumes from
    recorder      writes the folder while a run trains
    finetuning    one run, end to end

Importing this package does not import TensorFlow.
"""

from normtest_tf.runs.config import RunConfig
from normtest_tf.runs.folder import Cell, RunFolder, RunName
from normtest_tf.runs.history import RULES, Rule
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
