r"""Fine-tunes one pre-trained network on one data set, in one normalization setting.

    python -m experiments.train --dataset=cifar10 --data_dir=DIR \
        --model=resnet18 --normalization=finetune

The recipe is the PyTorch study's: Adam, learning rate 1e-3 decaying along a cosine,
batches of 256, 50 epochs, random crops and flips, all layers trained. The run is
written to <results_dir>/<dataset>/<model>-<normalization>/seed-<seed>; a finished run
is not run again.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from absl import flags

from experiments.support import flags as shared
from experiments.support import program
from normtest_tf import datasets, text
from normtest_tf.backbones import ARCHITECTURES
from normtest_tf.system import files, keras_setup

FLAGS = flags.FLAGS

shared.define("dataset", *shared.DATA, "model", "weights", *shared.PRETRAINING)
shared.define("shift", "train", "normalization", *shared.CONSTANTS)
shared.define(*shared.RECIPE, "seed", *shared.FINETUNING, *shared.OUTPUT)
shared.define_backend()
flags.DEFINE_bool("dry_run", False, "Print what would be run, and stop.")
flags.DEFINE_bool("list_models", False, "List models and their weights, and stop.")
flags.DEFINE_bool("list_datasets", False, "List data sets, and stop.")
_OTHERS = """
folder:PATH         your own images in PATH/train/CLASS/ and PATH/test/CLASS/
                    (or val/), or in PATH/CLASS/
csv:PATH            those that a table of file,label[,split] lists
tfds:NAME[/CONFIG]  any image classification set of TensorFlow Datasets"""


def list_models() -> str:
    """Returns a table of all models and their pre-trained weights."""
    rows = [("model", "smallest image", "weights (the first is the default)")]
    rows += [
        (entry.name, f"{entry.min_size}x{entry.min_size}", ", ".join(entry.tags))
        for entry in ARCHITECTURES.values()
    ]
    return (
        text.text_table(rows)
        + "\nPATH.keras  your own network, with its weights; see docs/models.md"
    )


def list_datasets() -> str:
    """Returns a table of all data sets."""
    rows = [("data set", "classes", "size", "train", "test", "mean", "std")]
    for entry in datasets.DATASETS.values():
        statistics = entry.published_statistics
        rows.append(
            (
                entry.name,
                str(entry.num_classes),
                f"{entry.image_size}x{entry.image_size}",
                f"{entry.train_examples:,}",
                f"{entry.test_examples:,}",
                "" if statistics is None else " ".join(map(str, statistics.mean)),
                "" if statistics is None else " ".join(map(str, statistics.std)),
            )
        )
    return f"{text.text_table(rows)}\n{_OTHERS}"


def main(argv: Sequence[str]) -> None:
    """Executes the run, or prints the requested list."""
    del argv
    if FLAGS.list_models or FLAGS.list_datasets:
        print(list_models() if FLAGS.list_models else list_datasets())
        return
    config = shared.run_config()
    config.check()
    datasets.check_available(config.dataset, config.reading)
    was_finished = config.is_done
    if not (was_finished or FLAGS.dry_run):
        files.check_writable(config.folder.path)
    keras_setup.import_tensorflow()
    from normtest_tf.runs import finetuning

    if FLAGS.dry_run:
        print(finetuning.dry_run(config))
        return
    result = finetuning.run(config, notify=program.note, show_epoch=program.show)
    if was_finished:
        print("already finished; pass --overwrite to run it again")
    print(result.describe())
    print(f"results: {config.folder}")
    print(f"curves:  tensorboard --logdir {shlex.quote(config.results_dir)}")


if __name__ == "__main__":
    program.run(main)
