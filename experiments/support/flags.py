"""The flags that programs share; a run's flags are made from `RunConfig`'s fields."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

from absl import flags

from normtest_tf import datasets, errors
from normtest_tf.runs import RunConfig, options
from normtest_tf.runs.config import MAX_SEED
from normtest_tf.system import keras_setup

FLAGS = flags.FLAGS
_FIELDS = {field.name: field for field in dataclasses.fields(RunConfig)}
_TYPES = typing.get_type_hints(RunConfig)

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
FINETUNING = (
    "examples_per_class",
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
        _define(name, _FIELDS[name].default, options.get(_FIELDS[name]).help)
    for name, default in defaults.items():
        _define(name, default, options.get(_FIELDS[name]).help)


def _define(name: str, default: Any, help: str) -> None:  # noqa: ANN401  (any flag)
    """Defines one flag with the field's type and its option's limits."""
    about = options.get(_FIELDS[name])
    kinds = {kind for kind in _kinds(name) if kind is not type(None)}
    if bool in kinds:
        flags.DEFINE_bool(name, default, help)
    elif int in kinds:
        high = None if about.high is None else int(about.high)
        flags.DEFINE_integer(
            name, default, help, lower_bound=about.low, upper_bound=high
        )
    elif float in kinds:
        flags.DEFINE_float(name, default, help)
        flags.register_validator(name, about.allows, about.range_in_words())
    elif about.choices:
        flags.DEFINE_enum(name, default, list(about.choices), help)
    elif str in kinds:
        flags.DEFINE_string(name, default, help)
    else:  # Several numbers.
        flags.DEFINE_list(name, default, help)


def _kinds(name: str) -> tuple[type, ...]:
    """Returns the types that a field's annotation allows."""
    annotation = _TYPES[name]
    if isinstance(annotation, type):
        return (annotation,)
    return typing.get_args(annotation)


def run_config(**values: object) -> RunConfig:
    """Builds the configuration from the program's flags."""
    given = {name: FLAGS[name].value for name in _FIELDS if name in FLAGS}
    return RunConfig(**(given | values))


def reading_options() -> datasets.ReadingOptions:
    """Returns how to read the data set, from the flags in `DATA`."""
    names = (*DATA, "shift")
    given = {name: FLAGS[name].value for name in names if name in FLAGS}
    return RunConfig(**given).reading


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
        list(keras_setup.TRAINING_BACKENDS),
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
    in_range = seeds and min(seeds) >= 0 and max(seeds) <= MAX_SEED
    if not in_range or len(set(seeds)) < len(seeds):
        raise errors.UsageError(
            f"--seeds takes distinct numbers from 0 to {MAX_SEED}. Received: {received}"
        )
    return seeds
