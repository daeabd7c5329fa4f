"""A run's configuration; each field is a flag with help text and limits."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from normtest_tf import backbones, datasets, errors, normalization
from normtest_tf.normalization import GIVEN, SETTINGS, ChannelStatistics, Setting
from normtest_tf.runs.folder import FINAL, RULES, RunFolder, RunName
from normtest_tf.system import files, keras_setup
from normtest_tf.training import choices
from normtest_tf.training.choices import Seeds

MAX_SEED = 2**32 - 1
_SEED, _POSITIVE, _SHARE = Meta(ge=0, le=MAX_SEED), Meta(ge=1), Meta(gt=0, le=1)
_MANY = Meta(ge=1, le=1_000_000)  # Epochs, and images in a batch.
# Where and how safely a run is stored, which does not change what it computes.
_NOT_REQUESTED = {"results_dir", "data_dir", "overwrite"}
_NOT_REQUESTED |= {"checkpoint_every", "memory_budget"}
_OPTION = "option"  # In the metadata of a field.
_Mean = Annotated[float, Meta(ge=0, le=1)]
_Std = Annotated[float, _SHARE]


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
    """How a field becomes a flag."""

    help: str
    choices: tuple[str, ...]  # The allowed values; empty where there is no list.
    limits: Meta  # Of a number.


def option(default: Any, help: str, allowed: Iterable[str] | Meta = ()) -> Any:  # noqa: ANN401  (a field)
    """Returns a field with a default, help, and choices or limits."""
    if isinstance(allowed, Meta):
        about = Option(help, (), allowed)
    else:
        about = Option(help, tuple(allowed), Meta())
    return dataclasses.field(default=default, metadata={_OPTION: about})


@dataclasses.dataclass(frozen=True)
class Resolved:
    """What the names in a configuration stand for, looked up and checked once."""

    setting: Setting
    network: backbones.PretrainedNetwork
    seeds: Seeds
    requested: dict[str, Any]  # What decides the run's outcome, ready for JSON.


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
        SETTINGS,
    )
    mean: tuple[_Mean, _Mean, _Mean] | None = option(
        None, f"Red, green and blue mean, in [0, 1], of --normalization={GIVEN}."
    )
    std: tuple[_Std, _Std, _Std] | None = option(
        None, "The standard deviations that belong to --mean, in (0, 1]."
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
        Meta(ge=1, le=datasets.MAX_IMAGE_SIZE),
    )
    resize: str | None = option(
        None,
        "How --image_size makes squares of other images. squash (the default): it "
        "changes their proportions; crop: takes the centre; pad: adds black borders.",
        datasets.RESIZES,
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
        "The share of each class to test on, of data without a test split. "
        f"Default: {datasets.TEST_FRACTION}.",
        _SHARE,
    )
    split_seed: int | None = option(
        None, "Decides which images --test_fraction takes. Default: 0.", _SEED
    )
    memory_budget: str | None = option(
        None,
        "Memory for decoded images, such as 4GB or 500MB; more are kept in a temporary "
        "file (TMPDIR). Default: a quarter of what is free.",
    )
    shift: str = option(
        datasets.NO_SHIFT,
        "What is done to all images before statistics are measured: "
        f"{datasets.SHIFT_HELP}",
    )
    train_examples: int | None = option(
        None, "Use only the first N training images. Default: all.", _POSITIVE
    )
    test_examples: int | None = option(
        None, "Use only the first N test images. Default: all.", _POSITIVE
    )
    examples_per_class: int | None = option(
        None,
        "Use only the first N training images of each class; with --train_examples, "
        "of those images. Default: all.",
        _POSITIVE,
    )
    subset: str = option(
        choices.FIRST,
        "The order whose first N images --train_examples, --test_examples and "
        f"--examples_per_class take. {_described(choices.SUBSETS)}",
        choices.SUBSETS,
    )
    validation_examples: int = option(
        0,
        "Hold out N training images, stratified by class, to choose an epoch on.",
        Meta(ge=0),
    )
    pretrain_mean: tuple[_Mean, _Mean, _Mean] | None = option(
        None,
        "Red, green and blue mean, in [0, 1], that a weights file was pre-trained "
        "with. Default: those of the model's own tag; --model=PATH.keras has none.",
    )
    pretrain_std: tuple[_Std, _Std, _Std] | None = option(
        None, "The standard deviations that belong to --pretrain_mean, in (0, 1]."
    )
    epochs: int = option(50, "Passes over the training images.", _MANY)
    batch_size: int = option(256, "Images in a training batch.", _MANY)
    learning_rate: float = option(
        1e-3,
        "The learning rate in the first epoch; it falls to 0 along a cosine.",
        Meta(gt=0, le=1000.0),
    )
    warmup_epochs: int = option(
        0,
        "The learning rate rises linearly during the first N epochs.",
        Meta(ge=0, le=1_000_000),
    )
    optimizer: str = option(
        choices.ADAM, _described(choices.OPTIMIZERS), choices.OPTIMIZERS
    )
    train: str = option(
        choices.ALL, f"What is trained. {_described(choices.REGIMES)}", choices.REGIMES
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
        choices.AUGMENTATIONS,
    )
    seed: int = option(
        223,
        "Decides the head's initial weights, the images' order and augmentation.",
        _SEED,
    )
    precision: str = option(
        "auto",
        "Keras precision policy of the backbone. auto: bfloat16 where the GPU has it, "
        "else float16, and float32 on a CPU.",
        ("auto", "float32", "mixed_float16", "mixed_bfloat16"),
    )
    strategy: str = option(
        choices.NONE,
        f"What trains. {_described(choices.STRATEGIES)}",
        choices.STRATEGIES,
    )
    keep: str = option(
        "final",
        "The epoch whose weights model.keras holds: the final one, the best on the "
        "test images (as in the PyTorch study), or the best on the validation images.",
        RULES,
    )
    deterministic: bool = option(
        False,
        "Use only TensorFlow's deterministic operations, which may be slower. A CPU "
        "repeats a run bit by bit without this.",
    )
    checkpoint_every: int | None = option(
        None,
        "Epochs between checkpoints, from the latest of which an interrupted run "
        "resumes. Default: as many as take ten seconds.",
        _POSITIVE,
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
    def is_done(self) -> bool:
        """Whether the run is finished, and is not to be replaced."""
        return self.folder.is_finished() and not self.overwrite

    @property
    def reading(self) -> datasets.ReadingOptions:
        """How to read the data set."""
        budget = self.memory_budget
        if self.resize is not None and self.image_size is None:
            raise errors.UsageError("--resize needs --image_size")
        values = vars(self) | {
            "memory_budget": None if budget is None else datasets.parse_size(budget),
            "shift": str(datasets.parse_shift(self.shift)),  # Equal ones are read once.
        }
        names = {field.name for field in dataclasses.fields(datasets.ReadingOptions)}
        given = {k: v for k, v in values.items() if k in names and v is not None}
        reading = datasets.ReadingOptions(**given)
        reading.check()
        return reading

    def subset_of(self, dataset: datasets.ImageDataset) -> datasets.ImageDataset:
        """Returns the images of a whole set that the run uses, or holds out."""
        drawn = self.subset == choices.SEEDED
        return dataset.take(
            self.train_examples,
            self.test_examples,
            self.examples_per_class,
            Seeds.split(self.seed).data if drawn else None,
        )

    @property
    def black(self) -> tuple[int, ...]:
        """What the shift makes of a black pixel: red, green and blue."""
        return datasets.parse_shift(self.shift).black

    @functools.cached_property
    def resolved(self) -> Resolved:
        """What the names stand for, checked without loading anything slow.

        Raises:
            UsageError: If a value is not allowed, or weights are not found.
        """
        datasets.slug(self.dataset)
        network = backbones.resolve(
            self.model, self.weights, self._statistics("pretrain_mean", "pretrain_std")
        )
        setting = self._setting()
        for name, value in self._values().items():
            check_option(name, value)
        _ = self.reading
        self._check_training()
        return Resolved(
            setting, network, Seeds.split(self.seed), self._requested(network)
        )

    def check(self) -> None:
        """Raises `UsageError` for what `resolved` refuses."""
        _ = self.resolved

    def __getstate__(self) -> dict[str, Any]:
        """Leaves `resolved` out of pickles: it holds functions."""
        return self._values()

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS}

    def _setting(self) -> Setting:
        """Returns the setting, with constants if it takes given ones."""
        constants = self._statistics("mean", "std")
        if (constants is not None) != (self.normalization == GIVEN):
            raise errors.UsageError(
                f"--normalization={GIVEN} needs --mean and --std, as RED,GREEN,BLUE of "
                "pixels from 0 to 1, and no other setting takes them. Received: "
                f"{self.normalization}, --mean={self.mean}, --std={self.std}"
            )
        setting = normalization.get(self.normalization)
        return normalization.given(constants) if constants else setting

    def _statistics(self, *names: str) -> ChannelStatistics | None:
        """Returns the statistics that two flags give, None without."""
        mean, std = (check_option(name, getattr(self, name)) for name in names)
        flags = f"--{names[0]} and --{names[1]}"
        if (mean is None) != (std is None):
            raise errors.UsageError(f"{flags} must be given together")
        return mean and ChannelStatistics(mean, std, "fixed", flags)

    def _check_training(self) -> None:
        """Checks the fields on how to train against each other."""
        backend = keras_setup.backend()
        if self.strategy != choices.NONE and backend != "jax":
            raise errors.UsageError(
                f"--strategy={self.strategy} needs --backend=jax, where Keras itself "
                f"divides batches between devices. Received: the backend {backend}"
            )
        if self.deterministic and backend != "tensorflow":
            raise errors.UsageError(
                "--deterministic needs --backend=tensorflow; for JAX, set the "
                "environment variable XLA_FLAGS=--xla_gpu_deterministic_ops=true "
                f"instead. Received: the backend {backend}"
            )
        if self.warmup_epochs > self.epochs:
            raise errors.UsageError(
                f"--warmup_epochs must be from 0 to --epochs={self.epochs}. "
                f"Received: {self.warmup_epochs}"
            )
        if self.keep == "best_validation" and not self.validation_examples:
            raise errors.UsageError(
                "--keep=best_validation needs --validation_examples=N with N > 0"
            )
        if self.recalibrate and self.train == choices.ALL and self.keep != FINAL.name:
            raise errors.UsageError(
                f"--recalibrate with --train={choices.ALL} changes the final epoch "
                f"alone, so it needs --keep=final. Received: --keep={self.keep}"
            )

    def _requested(self, network: backbones.PretrainedNetwork) -> dict[str, Any]:
        """Returns what decides the run's outcome, ready for JSON.

        Files and folders are recorded by name only: their location does not matter,
        and `config.json` can be shared. Their content is recorded as
        `data_fingerprint` and `weights_sha256`.
        """
        values = {k: v for k, v in self._values().items() if k not in _NOT_REQUESTED}
        values["dataset"] = datasets.slug(self.dataset)
        values["shift"] = str(datasets.parse_shift(self.shift))
        values["model"] = backbones.slug(self.model)
        for name in ("pretrain_mean", "pretrain_std", "mean", "std"):
            values[name] = check_option(name, values[name])  # Flags are text.
        if network.path is not None and self.weights is not None:
            values["weights"] = network.path.name
        return json.loads(json.dumps(values))


FIELDS = {field.name: field for field in dataclasses.fields(RunConfig)}
KINDS = typing.get_type_hints(RunConfig, include_extras=True)


def get_option(name: str) -> Option:
    """Returns the option of a field of `RunConfig`."""
    return FIELDS[name].metadata[_OPTION]


def kind_of(name: str) -> Any:  # noqa: ANN401  (a type)
    """Returns a field's type; if it may be None, the other one."""
    kinds = typing.get_args(KINDS[name])
    return kinds[0] if type(None) in kinds else KINDS[name]


def check_option(name: str, value: Any) -> Any:  # noqa: ANN401  (any field's)
    """Returns a value of a field, of the field's type, or raises `UsageError`."""
    about, kind = get_option(name), kind_of(name)
    if value is None and kind is not KINDS[name]:
        return None
    if about.choices and value not in about.choices:
        raise errors.unknown_name(f"value of --{name}", str(value), list(about.choices))
    try:
        if isinstance(value, list):  # Of a flag; msgspec would refuse `.485`.
            value = tuple(map(float, value))
        return msgspec.convert(value, Annotated[kind, about.limits], strict=False)
    # Until 0.21, msgspec's was no ValueError.
    except (TypeError, ValueError, msgspec.ValidationError) as error:
        message = f"--{name}: {error}. Received: {value}"
        if name.endswith(("mean", "std")):  # Elsewhere they are of pixels up to 255.
            message += ". It takes red,green,blue of pixels from 0 to 1: divide by 255"
        raise errors.UsageError(message) from error
