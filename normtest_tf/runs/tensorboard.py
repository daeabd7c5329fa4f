"""A run's history for TensorBoard."""

from __future__ import annotations

import os
import pathlib
import shutil

import tensorflow as tf

from normtest_tf.training import EpochRow


class Writer:
    """Writes a history as `train/loss` and so on, each epoch once.

    Args:
        folder: For TensorBoard's files alone; what is in it is removed.
        rows: The history so far, which is written first.

    Raises:
        OSError: If a file can't be written.
    """

    def __init__(self, folder: pathlib.Path, rows: list[EpochRow]) -> None:
        # Otherwise TensorBoard would show two runs as one, or an epoch twice.
        shutil.rmtree(folder, ignore_errors=True)
        try:
            # As bytes: a name need not be text in any encoding.
            self._writer = tf.summary.create_file_writer(os.fsencode(folder))
        except tf.errors.OpError as error:
            raise OSError(error.message) from error
        for row in rows:
            self.add(row)

    def add(self, row: EpochRow) -> None:
        """Writes an epoch's row, and flushes it.

        Raises:
            OSError: If it could not be written.
        """
        try:
            with self._writer.as_default(step=row["epoch"]):
                for name, value in row.items():
                    if name != "epoch":
                        tf.summary.scalar(_tag(name), value)
            self._writer.flush()
        except tf.errors.OpError as error:
            raise OSError(error.message) from error


def _tag(column: str) -> str:
    """Returns the name of a column of the history in TensorBoard."""
    prefix, _, rest = column.partition("_")
    return f"{prefix}/{rest}" if rest in ("loss", "accuracy") else column
