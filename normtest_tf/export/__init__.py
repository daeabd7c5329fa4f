"""Using a run's model elsewhere: verified exports and image classification.

    formats        the file formats, and where an export may be written
    writers        the model that is exported, and how each format is written
    timm_folders   the folder that timm loads, its limits and its `config.json`
    runtimes       loads an export with its own runtime; run in a fresh process
    verification   writes an export and keeps it only if it matches the run's model
    prediction     loads a model, and classifies image files
    evaluation     accuracy on labelled images, normalised as in training or otherwise
    cards          the README.md of an export, for the Hugging Face Hub

Importing this package does not import TensorFlow; `writers`, `verification` and
`prediction` do.
"""

from normtest_tf.export.formats import FORMATS, ExportError, Format
from normtest_tf.runs.metadata import describe_run

__all__ = ["FORMATS", "ExportError", "Format", "describe_run"]
