"""A run's configuration; each field is a flag with help text and limits."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from normtest_tf import backbones, datasets, errors, normalization
from normtest_tf.datasets import shifts
from normtest_tf.normalization import SETTINGS, ChannelStatistics, Setting
from normtest_tf.runs.folder import RunFolder, RunName
from normtest_tf.runs.history import FINAL, RULES
from normtest_tf.system import files, workers
from normtest_tf.training import choices
from normtest_tf.training.choices import Seeds

MAX_SEED = 2**32 - 1
MAX_LEARNING_RATE = 1000.0
# These affect where and how safely a run is stored, not what it computes.
_NOT_REQUESTED = (
    "results_dir",
    "data_dir",
    "overwrite",
    "checkpoint_every",
    "memory_budget",
)
_OPTION = "option"  # In the metadata of a field.


def _described(texts: Mapping[str, str]) -> str:
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


@dataclasses.dataclass(frozen=True)
class Option:
    """Help text, choices and limits of a field; its flag is made from this.

    Attributes:
        help: A sentence for `--help`.
        choices: The allowed values; empty where there is no list.
        limits: Of a number.
    """

    help: str
    choices: tuple[str, ...] = ()
    limits: Meta = dataclasses.field(default_factory=Meta)


def option(
    default: Any,  # noqa: ANN401  (any type)
    help: str,
    choices: Sequence[str] = (),
    **limits: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401  (any type)
    """Returns a field with a default and an `Option`; limits are those of `Meta`."""
    about = Option(help, tuple(choices), Meta(**limits))
    return dataclasses.field(default=default, metadata={_OPTION: about})


@dataclasses.dataclass(frozen=True)
class Resolved:
    """What the names in a configuration stand for, looked up and checked once.

    Attributes:
        setting: The normalization setting.
        network: The network and its pre-trained weights.
        seeds: The data seed and the model seed.
        requested: What decides the run's outcome, ready for JSON.
    """

    setting: Setting
    network: backbones.PretrainedNetwork
    seeds: Seeds
    requested: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything a user asks of a run.

    Each field is a flag of the same name, with help text and limits.

    Example:
    ```python
    config = RunConfig(dataset="digits", model="cifar_resnet8", epochs=8)
    config.folder.path  # results/digits/cifar_resnet8-finetune/seed-223
    ```
    """

    dataset: str = option("cifar10", f"Data set to fine-tune on: {DATASETS}")
    model: str = option(
        "resnet18",
        "Network to fine-tune; `experiments.train --list_models` lists them all. Or "
        f"your own: {MODEL_FILE}",
    )
    normalization: str = option(
        "finetune",
        "How inputs are normalised. "
        + _described({s.name: s.description for s in SETTINGS.values()}),
        choices=tuple(SETTINGS),
    )
    weights: str | None = option(None, f"Pre-trained weights: {WEIGHTS}")
    data_dir: str | None = option(
        None,
        "Folder with data sets prepared by TensorFlow Datasets, or with the unpacked "
        "tiny-imagenet-200. Default: where TensorFlow Datasets puts them.",
    )
    image_size: int | None = option(
        None,
        "Side in pixels to resize all images to. Default: their own size.",
        ge=1,
        le=datasets.MAX_IMAGE_SIZE,
    )
    resize: str | None = option(
        None,
        "How --image_size makes squares of other images. squash: it changes their "
        "proportions; crop: it takes the centre; pad: it adds black borders. Default: "
        "squash.",
        choices=datasets.RESIZES,
    )
    train_split: str | None = option(
        None,
        "What to train on: a split or slice of tfds:NAME, such as train[:80%], a "
        "folder in folder:PATH, or a split in csv:PATH. Default: train.",
    )
    test_split: str | None = option(
        None,
        "What to test on. Default: test, or else val, valid or validation; of data "
        "without splits, a part of each class.",
    )
    test_fraction: float | None = option(
        None,
        "The share of each class to test on, of data without a test split. Default: "
        f"{datasets.TEST_FRACTION}.",
        gt=0,
        le=1,
    )
    split_seed: int | None = option(
        None,
        "Decides which images these are; the same for all runs, whatever their --seed. "
        "Default: 0.",
        ge=0,
        le=MAX_SEED,
    )
    memory_budget: str | None = option(
        None,
        "Memory for decoded images, such as 4GB or 500MB; more are kept in a temporary "
        "file (TMPDIR). Default: half of what is free.",
    )
    shift: str = option(
        shifts.NONE,
        f"What is done to all images, before their statistics are measured: "
        f"{shifts.HELP}",
    )
    train_examples: int | None = option(
        None, "Use only the first N training images. Default: all.", ge=1
    )
    test_examples: int | None = option(
        None, "Use only the first N test images. Default: all.", ge=1
    )
    examples_per_class: int | None = option(
        None,
        "Use only the first N training images of each class; with --train_examples, "
        "of those images. Default: all.",
        ge=1,
    )
    validation_examples: int = option(
        0,
        "Hold out N training images, stratified by class, to choose an epoch without "
        "looking at the test images.",
        ge=0,
    )
    pretrain_mean: tuple[float, float, float] | None = option(
        None,
        "Red, green and blue mean, in [0, 1], that a weights file was pre-trained "
        "with. Default: those of the model's own tag; --model=PATH.keras has none.",
    )
    pretrain_std: tuple[float, float, float] | None = option(
        None,
        "Red, green and blue standard deviation that belong to --pretrain_mean, above "
        "0 and at most 1.",
    )
    epochs: int = option(50, "Passes over the training images.", ge=1, le=1_000_000)
    batch_size: int = option(256, "Images in a training batch.", ge=1, le=1_000_000)
    learning_rate: float = option(
        1e-3,
        "The learning rate in the first epoch; it falls to 0 along a cosine.",
        gt=0,
        le=MAX_LEARNING_RATE,
    )
    warmup_epochs: int = option(
        0,
        "During the first N epochs the learning rate rises linearly, step by step, to "
        "what it is without this.",
        ge=0,
        le=1_000_000,
    )
    optimizer: str = option(
        choices.ADAM,
        _described(choices.OPTIMIZERS),
        choices=tuple(choices.OPTIMIZERS),
    )
    train: str = option(
        choices.ALL,
        f"What is trained. {_described(choices.REGIMES)}",
        choices=tuple(choices.REGIMES),
    )
    recalibrate: bool = option(
        False,
        "Estimate batch normalization's running statistics again on the training "
        "images (AdaBN): before the training with --train=head or frozen_bn, after it, "
        "and before the last evaluation, with --train=all.",
    )
    augmentation: str | None = option(
        None,
        f"How training images are varied. {_described(choices.AUGMENTATIONS)} "
        f"Default: {choices.PAD_CROP_FLIP} up to {choices.MAX_PADDED_SIZE} pixels a "
        f"side, else {choices.RANDOM_RESIZED_CROP_FLIP}.",
        choices=tuple(choices.AUGMENTATIONS),
    )
    seed: int = option(
        223,
        "Determines the head's initial weights, the order of examples and their "
        "augmentation.",
        ge=0,
        le=MAX_SEED,
    )
    precision: str = option(
        "auto",
        "Keras precision policy of the backbone. auto: bfloat16 where the GPU has it, "
        "else float16, and float32 on a CPU.",
        choices=("auto", "float32", "mixed_float16", "mixed_bfloat16"),
    )
    strategy: str = option(
        choices.NONE,
        f"What trains. {_described(choices.STRATEGIES)}",
        choices=tuple(choices.STRATEGIES),
    )
    keep: str = option(
        "final",
        "The epoch whose weights model.keras holds: the final one, the best on the "
        "test images (as in the PyTorch study), or the best on the validation images.",
        choices=tuple(RULES),
    )
    deterministic: bool = option(
        False,
        "Use only TensorFlow's deterministic operations, which may be slower. A CPU "
        "repeats a run bit by bit without this.",
    )
    checkpoint_every: int = option(
        1,
        "Epochs between checkpoints. An interrupted run resumes from the latest.",
        ge=1,
    )
    results_dir: str = option("results", "Folder for the results.")
    overwrite: bool = option(
        False, "Run again from the start, and replace what is there."
    )

    @property
    def name(self) -> RunName:
        """Identifies the run within its results folder."""
        values = vars(self) | {
            "dataset": datasets.slug(self.dataset),
            "model": backbones.slug(self.model),
        }
        return RunName.of(values)

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return RunFolder(files.expand(self.results_dir) / str(self.name))

    @property
    def reading(self) -> datasets.ReadingOptions:
        """How to read the data set."""
        budget = self.memory_budget
        if self.resize is not None and self.image_size is None:
            raise errors.UsageError("--resize needs --image_size")
        reading = datasets.ReadingOptions.among(
            vars(self),
            memory_budget=None if budget is None else workers.parse_size(budget),
            shift=str(shifts.parse(self.shift)),  # Equal ones are read once.
        )
        reading.check()
        return reading

    @functools.cached_property
    def resolved(self) -> Resolved:
        """What the names stand for, checked without loading anything slow.

        Raises:
            UsageError: If a value is not allowed, or weights are not found.
        """
        datasets.check(self.dataset)
        statistics = _statistics(self.pretrain_mean, self.pretrain_std)
        network = backbones.resolve(self.model, self.weights, statistics)
        setting = normalization.get(self.normalization)
        for name, value in self._values().items():
            check_option(name, value)
        _ = self.reading
        self._check_training()
        return Resolved(
            setting=setting,
            network=network,
            seeds=Seeds.split(self.seed),
            requested=self._requested(network),
        )

    def check(self) -> None:
        """Raises `UsageError` for what `resolved` refuses."""
        _ = self.resolved

    def __getstate__(self) -> dict[str, Any]:
        """Leaves `resolved` out of pickles: it holds functions."""
        return self._values()

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS}

    def _check_training(self) -> None:
        """Checks the fields on how to train against each other."""
        choices.check_warmup(self.warmup_epochs, self.epochs)
        if self.keep == "best_validation" and not self.validation_examples:
            raise errors.UsageError(
                "--keep=best_validation needs --validation_examples=N with N > 0"
            )
        if self.recalibrate and self.train == choices.ALL and self.keep != FINAL.name:
            raise errors.UsageError(
                f"--recalibrate with --train={choices.ALL} changes the final epoch "
                f"alone, so it needs --keep=final. Received: --keep={self.keep}"
            )
        choices.check_strategy(self.strategy)

    def _requested(self, network: backbones.PretrainedNetwork) -> dict[str, Any]:
        """Returns what decides the run's outcome, ready for JSON.

        Files and folders are recorded by name only: their location does not matter,
        and `config.json` can be shared. Their content is recorded as
        `data_fingerprint` and `weights_sha256`.
        """
        values = self._values()
        for name in _NOT_REQUESTED:
            del values[name]
        values["dataset"] = datasets.slug(self.dataset)
        values["shift"] = str(shifts.parse(self.shift))
        values["model"] = backbones.slug(self.model)
        if self.pretrain_mean is not None:  # Flags are text.
            values["pretrain_mean"] = network.pretraining.statistics.mean
            values["pretrain_std"] = network.pretraining.statistics.std
        if network.path is not None and self.weights is not None:
            values["weights"] = network.path.name
        return json.loads(json.dumps(values))


FIELDS = {field.name: field for field in dataclasses.fields(RunConfig)}
KINDS = typing.get_type_hints(RunConfig)


def get_option(name: str) -> Option:
    """Returns the option of a field of `RunConfig`."""
    return FIELDS[name].metadata[_OPTION]


def kind_of(name: str) -> type:
    """Returns a field's type; if it may be None, the other one."""
    kinds = typing.get_args(KINDS[name])
    return kinds[0] if type(None) in kinds else KINDS[name]


def check_option(name: str, value: object) -> None:
    """Raises `UsageError` unless a field of `RunConfig` may have a value."""
    about, kind = get_option(name), kind_of(name)
    if value is None and kind is not KINDS[name]:
        return
    if about.choices and value not in about.choices:
        raise errors.unknown_name(f"value of --{name}", str(value), list(about.choices))
    try:
        msgspec.convert(value, Annotated[kind, about.limits], strict=False)
    except msgspec.ValidationError as error:
        raise errors.UsageError(f"--{name}: {error}. Received: {value}") from error


def _statistics(
    mean: Sequence[str | float] | None, std: Sequence[str | float] | None
) -> ChannelStatistics | None:
    """Returns the statistics of pre-training that flags give, None without them."""
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise errors.UsageError(
            "--pretrain_mean and --pretrain_std must be given together"
        )
    return ChannelStatistics(
        _three_numbers("pretrain_mean", mean, Meta(ge=0, le=1)),
        _three_numbers("pretrain_std", std, Meta(gt=0, le=1)),
        "fixed",
        "--pretrain_mean and --pretrain_std",
    )


def _three_numbers(
    flag: str, values: Sequence[str | float], limits: Meta
) -> tuple[float, float, float]:
    """Reads a flag of three numbers or texts of them, one per channel."""
    number = Annotated[float, limits]
    try:
        return msgspec.convert(
            list(values), tuple[number, number, number], strict=False
        )
    except msgspec.ValidationError as error:
        raise errors.UsageError(
            f"--{flag} takes three numbers for pixels from 0 to 1, red,green,blue: "
            f"{error}. Received: {','.join(map(str, values))}. Divide constants of "
            "pixels from 0 to 255 by 255"
        ) from error
