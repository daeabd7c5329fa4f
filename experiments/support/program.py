"""What the programs share: flags, and how bad input ends a program."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from normtest_tf import errors, normalization, runs

FLAGS = flags.FLAGS
USAGE_STATUS = 2
PIPE_STATUS = 141  # As shells report SIGPIPE.
MAX_SEED = 2**32 - 1
DATASETS_HELP = (
    "cifar10, cifar100, svhn_cropped, tiny_imagenet, digits, or folder:PATH for "
    "PATH/train/CLASS/*.png and PATH/test/CLASS/*.png."
)
WEIGHTS_HELP = (
    "a tag, none, or the path of a .safetensors, .h5 or .weights.h5 file. Default: "
    "the model's own tag."
)


def define_dataset_flag(dataset: str) -> None:
    """Defines the flag that chooses the data set; `dataset` is the default."""
    flags.DEFINE_string(
        "dataset", dataset, f"Data set to fine-tune on: {DATASETS_HELP}"
    )


def define_data_flags() -> None:
    """Defines the flags on where data lies and how much of it is used."""
    flags.DEFINE_string(
        "data_dir",
        None,
        "Folder with data sets prepared by TensorFlow Datasets, or with the unpacked "
        "tiny-imagenet-200. Default: where TensorFlow Datasets puts them.",
    )
    flags.DEFINE_integer(
        "image_size",
        None,
        "Side in pixels to resize the images of a folder to. Default: their own size.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "train_examples",
        None,
        "Use only the first N training images. Default: all.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "test_examples",
        None,
        "Use only the first N test images. Default: all.",
        lower_bound=1,
    )


def define_recipe_flags(
    epochs: int = 50, batch_size: int = 256, learning_rate: float = 1e-3
) -> None:
    """Defines the flags of the recipe; the arguments are the defaults."""
    flags.DEFINE_integer(
        "epochs", epochs, "Passes over the training images.", lower_bound=1
    )
    flags.DEFINE_integer(
        "batch_size", batch_size, "Images in a training batch.", lower_bound=1
    )
    flags.DEFINE_float(
        "learning_rate",
        learning_rate,
        "Adam's learning rate in the first epoch; it falls to 0 along a cosine.",
    )
    flags.register_validator(
        "learning_rate",
        lambda rate: 0 < rate <= 1000,
        message="must be positive, and at most 1000",
    )


def define_seed_flag() -> None:
    """Defines the flag that decides all that is random in a run."""
    flags.DEFINE_integer(
        "seed",
        223,
        "Decides the head's initial weights, the order of examples and their "
        "augmentation.",
        lower_bound=0,
        upper_bound=MAX_SEED,
    )


def define_seeds_flag(seeds: Sequence[int]) -> None:
    """Defines the flag that lists seeds; `seeds` is the default."""
    flags.DEFINE_list(
        "seeds",
        [str(seed) for seed in seeds],
        "Seeds, one run for each; runs of a seed form a pair.",
    )


def parse_seeds(values: Sequence[str]) -> list[int]:
    """Returns the seeds that a list flag names.

    Raises:
        UsageError: If one is no seed or is named twice.
    """
    try:
        seeds = [int(value) for value in values]
    except ValueError as error:
        raise errors.UsageError(
            f"--seeds takes whole numbers, such as 1,2,3. Received: {','.join(values)}"
        ) from error
    if not seeds or len(set(seeds)) < len(seeds) or not _are_seeds(seeds):
        raise errors.UsageError(
            f"--seeds takes different numbers from 0 to {MAX_SEED}. "
            f"Received: {','.join(values)}"
        )
    return seeds


def _are_seeds(values: Sequence[int]) -> bool:
    return min(values) >= 0 and max(values) <= MAX_SEED


def define_model_flags(model: str) -> None:
    """Defines the flags that choose one model; `model` is the default."""
    flags.DEFINE_string(
        "model",
        model,
        "Network to fine-tune; `experiments.train --list_models` shows them all.",
    )
    flags.DEFINE_string("weights", None, f"Pre-trained weights: {WEIGHTS_HELP}")


def define_pretraining_flags() -> None:
    """Defines the flags on what the weights of a file were pre-trained with."""
    flags.DEFINE_list(
        "pretrain_mean",
        None,
        "Red, green and blue mean, in [0, 1], that a weights file was pre-trained "
        "with. Default: those of the model's own tag.",
    )
    flags.DEFINE_list(
        "pretrain_std",
        None,
        "Red, green and blue standard deviation that belong to --pretrain_mean.",
    )


def define_finetuning_flags() -> None:
    """Defines the flags that only fine-tuning knows."""
    flags.DEFINE_integer(
        "validation_examples",
        0,
        "Set aside N training images, balanced over classes, to select an epoch "
        "without looking at the test images.",
        lower_bound=0,
    )
    flags.DEFINE_enum(
        "precision",
        "auto",
        ["auto", "float32", "mixed_float16", "mixed_bfloat16"],
        "Keras precision policy of the backbone. auto: bfloat16 where the GPU has "
        "it, else float16, and float32 on a CPU.",
    )
    flags.DEFINE_enum(
        "keep",
        "final",
        list(runs.KEEP),
        "Whose weights model.keras holds: those of the final epoch, of the best one "
        "on the test images (as the reference), or on the validation images.",
    )
    flags.DEFINE_integer(
        "checkpoint_every",
        1,
        "Epochs from one checkpoint to the next. An interrupted run goes on from its "
        "last one.",
        lower_bound=1,
    )
    flags.DEFINE_bool(
        "deterministic",
        False,
        "Use only TensorFlow's deterministic operations, which may be slower. A CPU "
        "repeats a run bit by bit without this.",
    )


def define_normalization_flag() -> None:
    """Defines the flag that chooses the normalization setting."""
    flags.DEFINE_enum(
        "normalization",
        "finetune",
        list(normalization.SETTINGS),
        "How inputs are normalised. "
        + "; ".join(f"{k}: {v}" for k, v in normalization.SETTINGS.items())
        + ".",
    )


def define_output_flags(results_dir: str = "results") -> None:
    """Defines the flags on where results go."""
    flags.DEFINE_string("results_dir", results_dir, "Folder for the results.")
    flags.DEFINE_bool(
        "overwrite", False, "Run again from the start, and replace what is there."
    )


def run_config(**values: object) -> runs.RunConfig:
    """Returns the configuration that the flags of this program make up.

    Args:
        **values: Values of `RunConfig` that take precedence over flags.
    """
    names = (field.name for field in dataclasses.fields(runs.RunConfig))
    given = {name: FLAGS[name].value for name in names if name in FLAGS}
    return runs.RunConfig(**(given | values))


def run(main: Callable[[Sequence[str]], None], *, arguments: bool = False) -> None:
    """Runs a program: `main` gets the flags parsed, errors become one line.

    Args:
        main: The program, called with what is left of the command line.
        arguments: Whether anything but flags may be on the command line.

    Raises:
        SystemExit: Always; status 0 when done, 2 for input that can't be used, 130
            after Ctrl-C, 143 after SIGTERM.
    """
    # TensorFlow logs its start-up on stderr, where errors should stand out.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # Otherwise TensorFlow takes all memory of a GPU that others may share.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    logging.set_verbosity(logging.WARNING)
    if {"--help", "--helpshort", "-help", "--helpfull"} & set(sys.argv[1:]):
        sys.exit(_print_help())
    app.run(
        lambda argv: _guarded(main, argv),
        flags_parser=lambda argv: _parse(argv, arguments),
    )


def _print_help() -> int:
    """Prints the program's own flags and returns the exit status."""
    main_module = sys.modules["__main__"]
    print((main_module.__doc__ or "").strip(), end="\n\n")
    print(FLAGS.main_module_help())
    print(FLAGS.module_help(sys.modules[__name__]))
    return 0


def _parse(argv: Sequence[str], arguments: bool) -> list[str]:
    """Parses the command line; what can't be parsed ends the program."""
    try:
        rest = FLAGS(argv)
        if len(rest) > 1 and not arguments:
            raise errors.UsageError(
                f"unexpected argument {rest[1]!r}; flags are written --name=value"
            )
        return rest
    except (flags.Error, errors.UsageError) as error:
        _fail(f"{errors.one_line(error)} (--help lists the flags)")


def _guarded(main: Callable[[Sequence[str]], None], argv: Sequence[str]) -> None:
    """Runs `main`; input that can't be used ends the program with one line."""
    try:
        main(argv)
        sys.stdout.flush()
    except errors.UsageError as error:
        _fail(errors.one_line(error))
    except errors.Interrupted as interruption:
        _fail(errors.one_line(interruption), status=interruption.status)
    except KeyboardInterrupt:
        _fail("interrupted", status=130)
    except BrokenPipeError:
        # Who reads the output has seen enough; nothing can be said to them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_STATUS)


def _fail(message: str, status: int = USAGE_STATUS) -> None:
    """Prints one line on stderr and exits."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)
