"""The progress of a training: a bar with rate and time left, and a line per epoch."""

from __future__ import annotations

import os
import time

import keras
from tqdm import tqdm

from normtest_tf.text import Notify
from normtest_tf.training import EpochRow
from normtest_tf.training.recipe import Recipe


class Progress(keras.callbacks.Callback):
    """Shows a progress bar over all epochs, on a terminal only."""

    def __init__(
        self, title: str, recipe: Recipe, examples: int, first_epoch: int = 0
    ) -> None:
        super().__init__()
        self._recipe = recipe
        self._examples = examples
        self._first_epoch = first_epoch
        self._started = 0.0
        self._bar = tqdm(
            desc=title,
            total=examples * recipe.epochs,
            initial=examples * first_epoch,
            unit=" images",
            unit_scale=True,
            smoothing=0.05,
            # None: disabled unless stderr is a terminal.
            disable=True if os.environ.get("TQDM_DISABLE") else None,
            leave=False,
        )

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Advances the bar by a batch, of which the last may be short."""
        size = self._recipe.batch_size
        self._bar.update(min(size, self._examples - batch * size))

    def on_train_end(self, logs: dict | None = None) -> None:
        """Removes the bar."""
        self.close()

    def close(self) -> None:
        """Removes the bar, even if training failed."""
        self._bar.close()

    def show(self, row: EpochRow, notify: Notify) -> None:
        """Reports one epoch's row of the history as a line of text."""
        epoch, epochs = int(row["epoch"]), self._recipe.epochs
        elapsed = time.perf_counter() - self._started
        left = elapsed / (epoch - self._first_epoch) * (epochs - epoch)
        parts = [f"epoch {epoch:{len(str(epochs))}}/{epochs}"]
        parts += [
            f"{name.removesuffix('_accuracy')} {row[name]:.2%}"
            for name in row
            if name.endswith("_accuracy")
        ]
        parts += [
            f"loss {row['train_loss']:.3f}",
            f"{row['images_per_second']:,.0f} images/s",
            f"{tqdm.format_interval(left)} left",
        ]
        with tqdm.external_write_mode():  # Keeps the bar from garbling the line.
            notify("  ".join(parts))
