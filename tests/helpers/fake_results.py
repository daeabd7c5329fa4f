"""Results folders like those of real runs, with accuracies chosen by a test."""

import json
import zlib

import numpy as np

from normtest_tf.runs import RULES, Cell, RunFolder
from normtest_tf.runs.folder import summarise
from normtest_tf.runs.record import Predictions
from tests.helpers.records import CONFIG_JSON

EPOCHS = 3
CELLS = [
    Cell("cifar10", "resnet18"),
    Cell("cifar100", "resnet18"),
    Cell("cifar100", "resnet50"),
]
MEAN_AND_STD = {
    "finetune": ([0.5, 0.4, 0.3], [0.25, 0.2, 0.1]),
    "pretrain": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "minmax": ([0.0] * 3, [1.0] * 3),
}


def statistics(setting):
    """Returns a setting's constants as `config.json` holds them."""
    if setting not in MEAN_AND_STD:
        return None
    mean, std = MEAN_AND_STD[setting]
    return {"mean": mean, "std": std, "definition": "fixed", "source": "a test"}


def write_run(
    results_dir,
    dataset="cifar10",
    model="resnet18",
    normalization="finetune",
    seed=1,
    final=0.8,
    best=None,
    best_validation=None,
    correct=None,
    **requested,
):
    """Writes one finished run; returns its folder.

    Test accuracies are `final` after the last epoch, at best `best` (0.01 more), and
    `best_validation` in the best validation epoch of a run with validation images.
    With `correct`, bool `[n]`, it has predictions, and that final accuracy.
    """
    folder = results_dir / dataset / f"{model}-{normalization}" / f"seed-{seed}"
    folder.mkdir(parents=True)
    asked = {
        "dataset": dataset.partition("+")[0],  # Variants are other values.
        "model": model.partition("+")[0],
        "normalization": normalization,
        "seed": seed,
        **requested,
    }
    if best_validation is not None:
        asked = {"validation_examples": 500, **asked}
    configuration = config(asked)
    if correct is not None:
        final = float(np.mean(correct))
        configuration["resolved"]["test_examples"] = len(correct)
        classes = np.zeros(len(correct), int)
        Predictions(classes, correct, classes, correct).write(RunFolder(folder))
    accuracies = [
        final / 2 if best_validation is None else best_validation,
        final + 0.01 if best is None else best,
        *[final] * (configuration["requested"]["epochs"] - 2),
    ]
    # Losses of two runs are never equal.
    loss = 1 + zlib.crc32(str(folder.relative_to(results_dir)).encode()) / 2**32
    rows = history_rows(accuracies, loss, is_validated=best_validation is not None)
    write_json(folder / "config.json", configuration)
    rule = RULES[configuration["requested"]["keep"]]
    write_json(folder / "result.json", result_of(rows, rule))
    RunFolder(folder).write_history(rows)
    return folder


def write_json(path, values):
    path.write_text(json.dumps(values, indent=2) + "\n")


REQUESTED = CONFIG_JSON["requested"] | {
    "weights": None,
    "train_examples": None,
    "validation_examples": 0,
    "epochs": EPOCHS,
    "batch_size": 256,
    "keep": "final",
}
RESOLVED = CONFIG_JSON["resolved"] | {
    "weights": "tv_in1k",
    "pretraining": {
        "origin": "timm",
        "trained_on": "ImageNet-1k",
        "statistics": statistics("pretrain"),
        "channel_order": "rgb",
        "licence": "unknown",
        "url": "",
        "input_size": 224,
    },
    "train_examples": 50_000,
    "test_examples": 10_000,
    "class_names": [str(number) for number in range(10)],
}


def config(asked):
    """Returns a complete `config.json`."""
    resolved = RESOLVED | {"statistics": statistics(asked["normalization"])}
    return CONFIG_JSON | {"requested": REQUESTED | asked, "resolved": resolved}


def history_rows(test_accuracies, loss, *, is_validated):
    """Returns a history; validation images prefer the first epoch."""
    validation = [0.5] + [0.4] * (len(test_accuracies) - 1)
    return [
        {
            "epoch": epoch,
            "learning_rate": 0.001,
            "train_loss": loss,
            "train_accuracy": 0.9,
            "test_loss": loss,
            "test_accuracy": accuracy,
            **(
                {"validation_loss": loss, "validation_accuracy": validated}
                if is_validated
                else {}
            ),
            "seconds": 2.5,
            "images_per_second": 400.0,
        }
        for epoch, (accuracy, validated) in enumerate(
            zip(test_accuracies, validation, strict=True), 1
        )
    ]


def result_of(rows, rule):
    """Returns a history's complete `result.json`."""
    return {
        "format": 1,
        **summarise(rows),
        "kept_epoch": rule.choose(rows)["epoch"],
        "train_seconds": 50.0,
        "total_seconds": 60.0,
        "peak_memory_mib": 1000.0,
    }


def write_study(results_dir, cells, seeds=5, effect=0.0, spread=0.003):
    """Writes runs of all settings; `finetune` is better by `effect`, 0 to 1."""
    rng = np.random.default_rng(0)
    shifts = {"finetune": effect, "pretrain": 0, "instance": -0.01, "minmax": 0}
    for number, (dataset, model) in enumerate(cells):
        for seed in range(seeds):
            for setting, shift in shifts.items():
                final = 0.8 + 0.01 * number + shift + spread * rng.normal()
                final = round(final, 4)
                write_run(results_dir, dataset, model, setting, seed, final)
