"""The flags that programs share; a run's flags are made from `RunConfig`'s fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from absl import flags

from normtest_tf import errors
from normtest_tf.runs import RunConfig, config
from normtest_tf.system import keras_setup

FLAGS = flags.FLAGS

DATA = (
    "data_dir",
    "train_split",
    "test_split",
    "test_fraction",
    "split_seed",
    "image_size",
    "resize",
    "memory_budget",
    "train_examples",
    "test_examples",
)
RECIPE = (
    "epochs",
    "batch_size",
    "learning_rate",
    "warmup_epochs",
    "optimizer",
    "augmentation",
)
PRETRAINING = ("pretrain_mean", "pretrain_std")
CONSTANTS = ("mean", "std")
FINETUNING = (
    "examples_per_class",
    "subset",
    "recalibrate",
    "validation_examples",
    "precision",
    "strategy",
    "keep",
    "checkpoint_every",
    "deterministic",
)
OUTPUT = ("results_dir", "overwrite")


def define(*names: str, **defaults: object) -> None:
    """Defines the flags of some fields of `RunConfig`."""
    for name in names:
        _define(name, config.FIELDS[name].default)
    for name, default in defaults.items():
        _define(name, default)


def _define(name: str, default: Any) -> None:  # noqa: ANN401  (any flag)
    """Defines one flag with the field's type and its option's limits."""
    about, kind = config.get_option(name), config.kind_of(name)
    if kind is bool:
        flags.DEFINE_bool(name, default, about.help)
    elif kind in (int, float):
        number = flags.DEFINE_integer if kind is int else flags.DEFINE_float
        number(name, default, about.help)
        flags.register_validator(name, lambda value: _is_allowed(name, value))
    elif about.choices:
        flags.DEFINE_enum(name, default, list(about.choices), about.help)
    elif kind is str:
        flags.DEFINE_string(name, default, about.help)
    else:  # Several numbers.
        flags.DEFINE_list(name, default, about.help)


def _is_allowed(name: str, value: object) -> bool:
    """Raises absl's error for a value that the field's option does not allow."""
    try:
        config.check_option(name, value)
    except errors.UsageError as error:
        raise flags.ValidationError(str(error)) from error
    return True


def run_config(**values: Any) -> RunConfig:  # noqa: ANN401  (any fields)
    """Builds the configuration from the program's flags."""
    names = [name for name in config.FIELDS if name in FLAGS]
    given: dict[str, Any] = {name: FLAGS[name].value for name in names}
    return RunConfig(**(given | values))


def define_seeds(seeds: Sequence[int]) -> None:
    """Defines the flag that lists seeds; `seeds` is the default."""
    flags.DEFINE_list(
        "seeds",
        [str(seed) for seed in seeds],
        "Seeds, one run per setting each; runs with the same seed form a pair.",
    )


def define_backend() -> None:
    """Defines the flag that chooses Keras's backend."""
    flags.DEFINE_enum(
        "backend",
        None,
        list(keras_setup.BACKENDS),
        "What Keras computes with; TensorFlow reads the data in any case. Default: the "
        "environment variable KERAS_BACKEND, else tensorflow.",
    )


def choose_backend() -> None:
    """Makes `--backend`, if given, the backend of this process and its workers."""
    if "backend" in FLAGS and FLAGS.backend is not None:
        keras_setup.choose_backend(FLAGS.backend)


def parse_seeds(values: Sequence[str]) -> list[int]:
    """Returns the seeds in the values of a list flag."""
    received = ",".join(values)
    try:
        seeds = [int(value) for value in values]
    except ValueError as error:
        raise errors.UsageError(
            f"--seeds takes whole numbers, such as 1,2,3. Received: {received}"
        ) from error
    in_range = seeds and min(seeds) >= 0 and max(seeds) <= config.MAX_SEED
    if not in_range or len(set(seeds)) < len(seeds):
        raise errors.UsageError(
            f"--seeds takes distinct numbers from 0 to {config.MAX_SEED}. "
            f"Received: {received}"
        )
    return seeds
