"""One run, its folder, and the contract of what is in it.

    config        what a user asks of a run, under the names of the flags
    folder        every file name, and paths to and from a run's identity
    record        config.json and result.json, as typed records
    history       history.csv, and the rules of choosing one of its epochs
    identity      whether two runs are the same run
    options       what is known of each field of a configuration
    plan          plan.json: the runs that were asked for in a results folder
    checkpoints   the files that an interrupted run resumes from
    recorder      writes the folder while a run trains
    tensorboard   the history for TensorBoard
    finetuning    one run, end to end

Importing this package does not import TensorFlow.
"""

from normtest_tf.runs.config import RunConfig
from normtest_tf.runs.folder import RunFolder, RunName
from normtest_tf.runs.history import RULES, Rule
from normtest_tf.runs.record import ConfigRecord, ResultRecord

__all__ = [
    "RULES",
    "ConfigRecord",
    "ResultRecord",
    "Rule",
    "RunConfig",
    "RunFolder",
    "RunName",
]
