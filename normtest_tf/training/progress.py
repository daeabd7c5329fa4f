"""The progress of a training: a bar with rate and time left, and a line per epoch."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import keras
from tqdm import tqdm

from normtest_tf.text import Notify
from normtest_tf.training import EpochRow


class Progress(keras.callbacks.Callback):
    """Shows a progress bar over all epochs, on a terminal only.

    Args:
        title: What is being trained.
        calls: Images of each call of the device in an epoch; see `stacks.shapes`.
        epochs: The number of epochs.
        first_epoch: The number of epochs that an earlier process has completed.
    """

    def __init__(
        self,
        title: str,
        calls: Sequence[int],
        epochs: int,
        first_epoch: int = 0,
    ) -> None:
        super().__init__()
        self._calls = calls
        self._epochs = epochs
        self._first_epoch = first_epoch
        self._started = 0.0
        self._bar = tqdm(
            desc=title,
            total=sum(calls) * epochs,
            initial=sum(calls) * first_epoch,
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
        """Advances the bar by the images of a call."""
        self._bar.update(self._calls[batch])

    def on_train_end(self, logs: dict | None = None) -> None:
        """Removes the bar."""
        self.close()

    def close(self) -> None:
        """Removes the bar, even if training failed."""
        self._bar.close()

    def show(self, row: EpochRow, notify: Notify) -> None:
        """Reports one epoch's row of the history as a line of text."""
        epoch = int(row["epoch"])
        elapsed = time.perf_counter() - self._started
        left = elapsed / (epoch - self._first_epoch) * (self._epochs - epoch)
        parts = [f"epoch {epoch:{len(str(self._epochs))}}/{self._epochs}"]
        parts += [
            f"{name.removesuffix('_accuracy')} {row[name]:.2%}"
            for name in row
            if name.endswith("_accuracy")
        ]
        parts.append(f"loss {row['train_loss']:.3f}")
        parts.append(f"{row['images_per_second']:,.0f} images/s")
        parts.append(f"{tqdm.format_interval(left)} left")
        with tqdm.external_write_mode():  # Keeps the bar from garbling the line.
            notify("  ".join(parts))
