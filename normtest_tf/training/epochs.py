"""One epoch's row of a history."""

from __future__ import annotations

from typing import TypeAlias

# By column: `epoch` (from 1), `learning_rate`, `train_loss`, `train_accuracy`, loss
# and accuracy of each evaluation (`test_loss`, ...), `seconds` and
# `images_per_second` of training without evaluation. Losses are mean cross-entropies
# in nats, accuracies from 0 to 1.
EpochRow: TypeAlias = dict[str, float]
