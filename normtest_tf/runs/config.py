"""A run's configuration; each field is a flag."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any

from normtest_tf import backbones, datasets, errors, normalization
from normtest_tf.datasets import shifts
from normtest_tf.normalization import SETTINGS, Setting
from normtest_tf.runs import options
from normtest_tf.runs.folder import RunFolder, RunName
from normtest_tf.runs.history import RULES
from normtest_tf.runs.options import option
from normtest_tf.system import files, memory
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

    Each field is a flag of the same name; its `option` has the help text and limits.

    Example:
    ```python
    config = RunConfig(dataset="digits", model="cifar_resnet8", epochs=8)
    config.folder.path  # results/digits/cifar_resnet8-finetune/seed-223
    ```
    """

    dataset: str = option("cifar10", f"Data set to fine-tune on: {options.DATASETS}")
    model: str = option(
        "resnet18",
        "Network to fine-tune; `experiments.train --list_models` lists them all. Or "
        f"your own: {options.MODEL_FILE}",
    )
    normalization: str = option(
        "finetune",
        f"How inputs are normalised. {options.NORMALIZATIONS}",
        choices=tuple(SETTINGS),
    )
    weights: str | None = option(None, f"Pre-trained weights: {options.WEIGHTS}")
    data_dir: str | None = option(
        None,
        "Folder with data sets prepared by TensorFlow Datasets, or with the unpacked "
        "tiny-imagenet-200. Default: where TensorFlow Datasets puts them.",
    )
    image_size: int | None = option(
        None,
        "Side in pixels to resize all images to. Default: their own size.",
        low=1,
        high=datasets.MAX_IMAGE_SIZE,
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
        positive=True,
        high=1,
    )
    split_seed: int | None = option(
        None,
        "Decides which images these are; the same for all runs, whatever their --seed. "
        "Default: 0.",
        low=0,
        high=MAX_SEED,
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
        None, "Use only the first N training images. Default: all.", low=1
    )
    test_examples: int | None = option(
        None, "Use only the first N test images. Default: all.", low=1
    )
    examples_per_class: int | None = option(
        None,
        "Use only the first N training images of each class; with --train_examples, "
        "of those images. Default: all.",
        low=1,
    )
    validation_examples: int = option(
        0,
        "Hold out N training images, stratified by class, to choose an epoch without "
        "looking at the test images.",
        low=0,
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
    epochs: int = option(50, "Passes over the training images.", low=1, high=1_000_000)
    batch_size: int = option(256, "Images in a training batch.", low=1, high=1_000_000)
    learning_rate: float = option(
        1e-3,
        "The learning rate in the first epoch; it falls to 0 along a cosine.",
        positive=True,
        high=MAX_LEARNING_RATE,
    )
    warmup_epochs: int = option(
        0,
        "During the first N epochs the learning rate rises linearly, step by step, to "
        "what it is without this.",
        low=0,
        high=1_000_000,
    )
    optimizer: str = option(
        choices.ADAM,
        options.described(choices.OPTIMIZERS),
        choices=tuple(choices.OPTIMIZERS),
    )
    train: str = option(
        choices.ALL,
        f"What is trained. {options.described(choices.REGIMES)}",
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
        f"How training images are varied. {options.described(choices.AUGMENTATIONS)} "
        f"Default: {choices.PAD_CROP_FLIP} up to {choices.MAX_PADDED_SIZE} pixels a "
        f"side, else {choices.RANDOM_RESIZED_CROP_FLIP}.",
        choices=tuple(choices.AUGMENTATIONS),
    )
    seed: int = option(
        223,
        "Determines the head's initial weights, the order of examples and their "
        "augmentation.",
        low=0,
        high=MAX_SEED,
    )
    precision: str = option(
        "auto",
        "Keras precision policy of the backbone. auto: bfloat16 where the GPU has it, "
        "else float16, and float32 on a CPU.",
        choices=("auto", "float32", "mixed_float16", "mixed_bfloat16"),
    )
    strategy: str = option(
        choices.NONE,
        f"What trains. {options.described(choices.STRATEGIES)}",
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
        low=1,
    )
    results_dir: str = option("results", "Folder for the results.")
    overwrite: bool = option(
        False, "Run again from the start, and replace what is there."
    )

    @property
    def name(self) -> RunName:
        """Identifies the run within its results folder.

        Raises:
            UsageError: If there is no such data set or shift.
        """
        values = vars(self) | {
            "dataset": datasets.slug(self.dataset),
            "model": backbones.slug(self.model),
        }
        return RunName.of(values)

    @property
    def folder(self) -> RunFolder:
        """The run's folder.

        Raises:
            UsageError: If there is no such data set or home folder.
        """
        return RunFolder(files.expand(self.results_dir) / str(self.name))

    @property
    def reading(self) -> datasets.ReadingOptions:
        """How to read the data set.

        Raises:
            UsageError: If a value is not allowed.
        """
        budget = self.memory_budget
        if self.resize is not None and self.image_size is None:
            raise errors.UsageError("--resize needs --image_size")
        options = datasets.ReadingOptions.among(
            vars(self),
            memory_budget=None if budget is None else memory.parse(budget),
            shift=str(shifts.parse(self.shift)),  # Equal ones are read once.
        )
        options.check()
        return options

    @functools.cached_property
    def resolved(self) -> Resolved:
        """What the names stand for, checked without loading anything slow.

        Raises:
            UsageError: If a value is not allowed, or weights are not found.
        """
        datasets.check(self.dataset)
        network = self._network()
        setting = normalization.get(self.normalization)
        options.check(self)
        _ = self.reading
        if self.keep == "best_validation" and not self.validation_examples:
            raise errors.UsageError(
                "--keep=best_validation needs --validation_examples=N with N > 0"
            )
        options.check_training(self)
        return Resolved(
            setting=setting,
            network=network,
            seeds=Seeds.split(self.seed),
            requested=self._requested(network),
        )

    def check(self) -> None:
        """Checks all that can be checked without loading anything slow.

        Raises:
            UsageError: If a value is not allowed, or weights are not found.
        """
        _ = self.resolved

    def __getstate__(self) -> dict[str, Any]:
        """Leaves `resolved` out of pickles: it holds functions."""
        names = [field.name for field in dataclasses.fields(self)]
        return {name: getattr(self, name) for name in names}

    def _network(self) -> backbones.PretrainedNetwork:
        """Resolves model and weights, with the statistics that flags override."""
        statistics = options.pretraining_statistics(
            self.pretrain_mean, self.pretrain_std
        )
        return backbones.resolve(self.model, self.weights, statistics)

    def _requested(self, network: backbones.PretrainedNetwork) -> dict[str, Any]:
        """Returns what decides the run's outcome, ready for JSON.

        Files and folders are recorded by name only: their location does not matter,
        and `config.json` can be shared. Their content is recorded as
        `data_fingerprint` and `weights_sha256`.
        """
        values = {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if name not in _NOT_REQUESTED
        }
        values["dataset"] = datasets.slug(self.dataset)
        values["shift"] = str(shifts.parse(self.shift))
        values["model"] = backbones.slug(self.model)
        if self.pretrain_mean is not None:  # Flags are text.
            values["pretrain_mean"] = network.pretraining.statistics.mean
            values["pretrain_std"] = network.pretraining.statistics.std
        if network.path is not None and self.weights is not None:
            values["weights"] = network.path.name
        return json.loads(json.dumps(values))
