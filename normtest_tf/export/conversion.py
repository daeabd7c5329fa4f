"""Writes an export with TensorFlow where Keras has another backend.

Some formats can only be written by TensorFlow. That takes a process of its own, which
gets the model in a `.keras` file; this file is its program, too.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import normtest_tf
from normtest_tf import errors
from normtest_tf.export import fresh_process
from normtest_tf.system import keras_setup

if TYPE_CHECKING:
    import keras


def write(
    model: keras.Model,
    path: pathlib.Path,
    format_name: str,
    description: dict[str, Any],
) -> None:
    """Writes an export in another process; see `writers.write`.

    Args:
        model: A model from `writers.build`.
        path: The file to write, or the folder of a SavedModel.
        format_name: A key of `formats.FORMATS`.
        description: The metadata, from `metadata.describe_run`.

    Raises:
        ExportError: If the model can't be written in this format.
    """
    with tempfile.TemporaryDirectory() as name:
        file = pathlib.Path(name) / "model.keras"
        model.save(file)
        fresh_process.run(
            ["-m", __name__, str(file), str(path.absolute()), format_name],
            _environment(),
            f"the {format_name} export can't be written by TensorFlow",
            json.dumps(description),
        )


def _environment() -> dict[str, str]:
    """Returns variables with which the other process finds this package."""
    ours = str(pathlib.Path(normtest_tf.__file__).parent.parent)
    paths = os.pathsep.join(filter(None, [ours, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": paths}


def main(model: str, path: str, format_name: str) -> None:
    """Writes an export; the metadata come by stdin."""
    keras_setup.import_tensorflow()
    from normtest_tf.export import prediction, writers

    loaded = prediction.load_model(pathlib.Path(model))
    try:
        writers.write(loaded, pathlib.Path(path), format_name, json.load(sys.stdin))
    except Exception as error:  # Converters raise what they like.
        sys.exit(errors.first_cause(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
