"""Shows the whole experiment in two minutes, offline, on a CPU.

    python -m experiments.quickstart

A small ResNet that was pre-trained on CIFAR10 (in this package) is fine-tuned on
scikit-learn's handwritten digits, with inputs normalised by the statistics of the
pre-training set and of the fine-tuning set, three seeds each. The runs are
ordinary runs of experiments.train; finished ones are not run again.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from experiments.support import program
from normtest_tf import runs
from normtest_tf.system import files, quiet

FLAGS = flags.FLAGS
SETTINGS = ("pretrain", "finetune")

flags.DEFINE_integer("epochs", 8, "Passes over the 1,297 digits.", lower_bound=1)
program.define_seeds_flag([1, 2, 3])
flags.DEFINE_integer("batch_size", 64, "Digits in a training batch.", lower_bound=1)
program.define_output_flags(results_dir="quickstart_results")


def configurations() -> list[runs.RunConfig]:
    """Returns the runs, pair after pair."""
    return [
        program.run_config(
            dataset="digits",
            model="cifar_resnet8",
            normalization=setting,
            seed=seed,
        )
        for seed in program.parse_seeds(FLAGS.seeds)
        for setting in SETTINGS
    ]


def main(argv: Sequence[str]) -> None:
    """Runs the pairs, prints a table, writes a figure and says what is next."""
    del argv
    configs = configurations()
    quiet.import_tensorflow()
    from normtest_tf import datasets
    from normtest_tf.runs import finetuning
    from plots import quickstart

    dataset = datasets.load("digits")
    for number, config in enumerate(configs, start=1):
        print(
            f"\nrun {number}/{len(configs)}: {config.model} on {config.dataset}, "
            f"{config.normalization} statistics, seed {config.seed}"
        )
        print(runs.describe_result(finetuning.run(config, dataset)))
    folder = files.expand(FLAGS.results_dir)
    cells = quickstart.read_cells(configs)
    print(f"\n{quickstart.summary(cells)}\n")
    quickstart.write_figure(cells, folder / "quickstart.png")
    print(f"figure:  {folder / 'quickstart.png'}")
    print(f"results: {configs[0].folder.parent.parent}")
    print(f"model:   {configs[-1].folder / 'model.keras'}")
    print(NEXT)


NEXT = """
What to run next:
  python -m experiments.train --dataset=cifar10 --model=resnet18 \\
      --normalization=finetune          one run of the study (downloads data, weights)
  python -m experiments.train --dataset=folder:PATH       the same on your own images
  python -m experiments.sweep --dry_run                   many runs; what they'd take
  python -m experiments.train --list_models               what else can be fine-tuned"""


if __name__ == "__main__":
    program.run(main)
