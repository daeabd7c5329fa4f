"""Options: help text and limits of each configuration field.

Flags, their help and their limits are made from this.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from normtest_tf import datasets, errors
from normtest_tf.normalization import SETTINGS, ChannelStatistics
from normtest_tf.training import choices

_KEY = "option"


def described(texts: Mapping[str, str]) -> str:
    """Returns a sentence that says what each value stands for."""
    return "; ".join(f"{name}: {text}" for name, text in texts.items()) + "."


# Help texts that programs with lists share.
DATASETS = (
    f"{', '.join(datasets.DATASETS)}; folder:PATH for the images in PATH/train/CLASS/ "
    "and PATH/test/CLASS/, or in PATH/CLASS/; csv:PATH for a table of "
    "file,label[,split]; or tfds:NAME[/CONFIG] for an image classification set of "
    "TensorFlow Datasets."
)
MODEL_FILE = (
    "PATH.keras for the backbone, or the classifier without its head, in a .keras file "
    "of stock layers; needs --pretrain_mean and --pretrain_std."
)
WEIGHTS = (
    "a tag, none, the path of a .safetensors, .h5, .weights.h5 or .keras file or of "
    "the .index.json of several .safetensors files, or the folder of a finished run. "
    "Default: the model's own tag."
)
NORMALIZATIONS = described({s.name: s.description for s in SETTINGS.values()})


@dataclasses.dataclass(frozen=True)
class Option:
    """Help text and limits of one field of `RunConfig`; its flag is made from this.

    Attributes:
        help: A sentence for `--help`.
        choices: The allowed values; empty where there is no list.
        low: The smallest allowed number.
        high: The largest.
        positive: Whether a number must be above 0.
    """

    help: str
    choices: tuple[str, ...] = ()
    low: int | None = None
    high: float | None = None
    positive: bool = False

    def allows(self, value: object) -> bool:
        """Tells whether a value of the field's type is allowed; None always is."""
        if isinstance(value, str):
            return not self.choices or value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return low <= value <= high and (value > 0 or not self.positive)

    def range_in_words(self) -> str:
        """Returns what is allowed, such as `must be at least 1`."""
        if self.choices:
            return f"must be one of {', '.join(self.choices)}"
        low = "positive" if self.positive else f"at least {self.low}"
        high = "" if self.high is None else f", and at most {round(self.high)}"
        return f"must be {low}{high}"


def option(default: Any, help: str, **limits: Any) -> Any:  # noqa: ANN401  (any type)
    """Returns a dataclass field with a default and an `Option`; see `get`."""
    return dataclasses.field(default=default, metadata={_KEY: Option(help, **limits)})


def get(field: dataclasses.Field[Any]) -> Option:
    """Returns the option of a field created by `option`."""
    return field.metadata[_KEY]


def check(config: Any) -> None:  # noqa: ANN401  (any dataclass)
    """Checks the fields of a configuration against their options.

    Args:
        config: A dataclass whose fields were created by `option`.

    Raises:
        UsageError: For the first value that its option does not allow.
    """
    for field in dataclasses.fields(config):
        value, about = getattr(config, field.name), get(field)
        if about.allows(value):
            continue
        if about.choices:
            raise errors.unknown_name(
                f"value of --{field.name}", value, list(about.choices)
            )
        raise errors.UsageError(
            f"--{field.name} {about.range_in_words()}. Received: {value}"
        )


def check_training(config: Any) -> None:  # noqa: ANN401  (a `RunConfig`)
    """Checks the fields on how to train against each other.

    Args:
        config: A `RunConfig`.

    Raises:
        UsageError: If two of them contradict each other.
    """
    choices.check_warmup(config.warmup_epochs, config.epochs)
    if config.recalibrate and config.train == choices.ALL and config.keep != "final":
        raise errors.UsageError(
            f"--recalibrate with --train={choices.ALL} changes the final epoch alone, "
            f"so it needs --keep=final. Received: --keep={config.keep}"
        )
    choices.check_strategy(config.strategy)


def pretraining_statistics(
    mean: Sequence[str | float] | None, std: Sequence[str | float] | None
) -> ChannelStatistics | None:
    """Returns the statistics of pre-training that flags give, None without them.

    Args:
        mean: `--pretrain_mean`, numbers or texts of them.
        std: `--pretrain_std`, likewise.

    Raises:
        UsageError: If one is missing, or a value is not allowed.
    """
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise errors.UsageError(
            "--pretrain_mean and --pretrain_std must be given together"
        )
    return ChannelStatistics(
        three_floats("pretrain_mean", mean),
        three_floats("pretrain_std", std, positive=True),
        "fixed",
        "--pretrain_mean and --pretrain_std",
    )


def three_floats(
    flag: str, values: Sequence[str | float], *, positive: bool = False
) -> tuple[float, float, float]:
    """Reads a flag of three numbers from 0 to 1, one per channel.

    Args:
        flag: Its name, for messages.
        values: Numbers, or texts of them.
        positive: Whether 0 is refused.

    Raises:
        UsageError: If they are not three such numbers.
    """
    received = ",".join(map(str, values))
    try:
        red, green, blue = (float(value) for value in values)
    except ValueError as error:
        raise errors.UsageError(
            f"--{flag} takes three numbers, red,green,blue. Received: {received}"
        ) from error
    if not np.isfinite([red, green, blue]).all() or (
        positive and min(red, green, blue) <= 0
    ):
        raise errors.UsageError(
            f"--{flag} must be {'positive' if positive else 'finite'}. "
            f"Received: {received}"
        )
    if not 0 <= min(red, green, blue) <= max(red, green, blue) <= 1:
        raise errors.UsageError(
            f"--{flag} is that of pixels from 0 to 1. Received: {received}. Divide "
            "constants of pixels from 0 to 255 by 255"
        )
    return red, green, blue
