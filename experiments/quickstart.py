"""Runs the whole experiment in miniature: offline, about a minute on a CPU.

    python -m experiments.quickstart

A small ResNet, pre-trained on CIFAR10 (its weights come with the package), is
fine-tuned on scikit-learn's handwritten digits, with inputs normalised by the
statistics of the pre-training set and of the fine-tuning set, three seeds each. The
runs are ordinary runs of experiments.train; finished ones are not run again.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from absl import flags

from experiments.support import flags as shared
from experiments.support import program
from normtest_tf import runs
from normtest_tf.normalization import CONTROL, TREATMENT
from normtest_tf.system import files, keras_setup

FLAGS = flags.FLAGS

shared.define_seeds([1, 2, 3])
shared.define("strategy", "overwrite")
shared.define(epochs=8, batch_size=64, results_dir="quickstart_results")
shared.define_backend()


def configurations() -> list[runs.RunConfig]:
    """Returns the runs, pair after pair."""
    return [
        shared.run_config(
            dataset="digits", model="cifar_resnet8", normalization=setting, seed=seed
        )
        for seed in shared.parse_seeds(FLAGS.seeds)
        for setting in (CONTROL, TREATMENT)
    ]


def main(argv: Sequence[str]) -> None:
    """Runs the pairs, prints a table, writes a figure and suggests what to run next."""
    del argv
    configs = configurations()
    keras_setup.import_tensorflow()
    from normtest_tf import datasets
    from normtest_tf.runs import finetuning

    dataset = datasets.load("digits")
    for number, config in enumerate(configs, start=1):
        print(
            f"\nrun {number}/{len(configs)}: {config.model} on {config.dataset}, "
            f"{config.normalization} statistics, seed {config.seed}"
        )
        result = finetuning.run(
            config, dataset, notify=program.note, show_epoch=program.show
        )
        print(result.describe())
    figure = summarise(configs)
    print(f"figure:  {figure}")
    print(f"results: {configs[0].folder.path.parent.parent}")
    print(f"model:   {configs[-1].folder.model}")
    print(NEXT)


def summarise(configs: Sequence[runs.RunConfig]) -> pathlib.Path:
    """Prints and draws what the pairs show; returns the figure's path."""
    from normtest_tf.analysis import comparisons, results
    from normtest_tf.report import sections
    from plots import quickstart

    folder = files.expand(FLAGS.results_dir)
    found = results.read(folder, [config.name for config in configs])
    (cell,) = found.cells
    comparison = comparisons.compare(found, TREATMENT, CONTROL)
    assert comparison is not None  # Every seed has both runs.
    print(f"\n{sections.pair_table(found, comparison, cell)}")
    judgement = comparison.judgements[cell]
    print(f"\n{comparison}: {judgement.verdict.text}.\n")
    if judgement.effect.n == 1:
        print("Add --seeds for more pairs.\n")
    path = folder / "quickstart.png"
    quickstart.write_figure(found, comparison, cell, path)
    return path


NEXT = """
What to run next:
  python -m experiments.train --dataset=cifar10 --model=resnet18 \\
      --normalization=finetune          one run of the study (downloads data, weights)
  python -m experiments.train --dataset=folder:PATH       the same on your own images
  python -m experiments.sweep --dry_run                   what a sweep would take
  python -m experiments.train --list_models               what else can be fine-tuned"""


if __name__ == "__main__":
    program.run(main)
