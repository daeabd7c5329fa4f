r"""Runs a grid of data sets, models, settings and seeds; what is done is skipped.

    python -m experiments.sweep --datasets=cifar10,cifar100 --data_dir=DIR \
        --models=resnet18,densenet121 --normalizations=pretrain,finetune --seeds=1,2,3

Each run is an ordinary run of experiments.train. A sweep that was stopped goes on
when the same command is given again; a run that fails is recorded in its folder and
the others go on. experiments/presets/ has flagfiles of whole studies:

    python -m experiments.sweep --flagfile=experiments/presets/reference_table1.flags
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Sequence

from absl import flags

from experiments.support import program
from normtest_tf import errors, normalization, runs, sweeps, text
from normtest_tf.backbones import ARCHITECTURES
from normtest_tf.system import quiet

FLAGS = flags.FLAGS

flags.DEFINE_list(
    "datasets",
    ["cifar10"],
    f"Data sets to fine-tune on, each one of: {program.DATASETS_HELP}",
)
flags.DEFINE_list("models", ["resnet18"], "Networks to fine-tune.")
flags.DEFINE_list(
    "weights",
    [],
    f"Pre-trained weights of all models: {program.WEIGHTS_HELP} Or for some of them: "
    "MODEL=WEIGHTS,MODEL=WEIGHTS.",
)
flags.DEFINE_list(
    "normalizations",
    ["pretrain", "finetune"],
    "Settings to compare: " + ", ".join(normalization.SETTINGS) + ".",
)
program.define_seeds_flag([1, 2, 3, 4, 5])
program.define_data_flags()
program.define_pretraining_flags()
program.define_recipe_flags()
program.define_finetuning_flags()
program.define_output_flags()
flags.DEFINE_bool("dry_run", False, "Print the plan and how long it takes, and stop.")


def weights_by_model(
    values: Sequence[str], models: Sequence[str]
) -> dict[str, str | None]:
    """Returns the weights of each model.

    Args:
        values: Of `--weights`: nothing, one value for all, or MODEL=WEIGHTS.
        models: Names of models.

    Raises:
        UsageError: If it can't be told which model a value is for.
    """
    if len(values) == 1 and values[0].partition("=")[0] not in ARCHITECTURES:
        return dict.fromkeys(models, values[0])
    weights: dict[str, str | None] = dict.fromkeys(models)
    for value in values:
        model, _, name = value.partition("=")
        if model not in models or not name or weights[model] is not None:
            raise errors.UsageError(
                "--weights takes one value for all models, or MODEL=WEIGHTS once for "
                f"a model of --models={','.join(models)}. Received: {value!r}"
            )
        weights[model] = name
    return weights


def check_normalizations(names: Sequence[str]) -> None:
    """Raises `UsageError` if one is no setting."""
    for name in names:
        if name not in normalization.SETTINGS:
            raise errors.unknown_name(
                "normalization", name, list(normalization.SETTINGS)
            )


def main(argv: Sequence[str]) -> None:
    """Runs what is not done yet and says what to do with it."""
    del argv
    check_normalizations(FLAGS.normalizations)
    configs = sweeps.grid(
        program.run_config(weights=None),
        datasets=FLAGS.datasets,
        models=FLAGS.models,
        normalizations=FLAGS.normalizations,
        seeds=program.parse_seeds(FLAGS.seeds),
        weights=weights_by_model(FLAGS.weights, FLAGS.models),
    )
    sweeps.check(configs)
    if FLAGS.dry_run:
        quiet.import_tensorflow()
        _print_plan(configs)
        return
    tally = sweeps.run_all(configs, functools.partial(print, flush=True))
    _print_summary(tally)


def _print_plan(configs: Sequence[runs.RunConfig]) -> None:
    """Prints what would be run and how long it would take."""
    from normtest_tf import datasets
    from normtest_tf.sweeps import estimates

    seconds = sweeps.measured_seconds(FLAGS.results_dir)
    for config in configs:
        cell = datasets.slug(config.dataset), config.model
        if cell not in seconds:
            seconds[cell] = estimates.probe_seconds(config)
    print(text.text_table(sweeps.plan_table(configs, seconds)))
    waiting = [config for config in configs if sweeps.state(config) != "done"]
    left = sweeps.seconds_left(waiting, seconds) or 0.0
    print(
        f"\n{len(waiting)} of {len(configs)} runs to do, about "
        f"{sweeps.duration(left)} on this machine; results would be written to "
        f"{FLAGS.results_dir}"
    )


def _print_summary(tally: sweeps.Tally) -> None:
    """Prints what was done and what is next; failed runs are an error."""
    print(
        f"\n{tally.done} runs done, {tally.skipped} finished before, "
        f"{tally.failed} failed"
    )
    if tally.elsewhere:
        print(f"{tally.elsewhere} runs were left to another process, which is at them")
    folder = shlex.quote(FLAGS.results_dir)
    print(f"results: {FLAGS.results_dir}")
    print(f"report:  python -m experiments.report --results_dir={folder}")
    if tally.failed:
        raise errors.UsageError(
            f"{tally.failed} runs failed; each one's folder tells why in "
            f"{runs.FAILURE}. The same command tries them again"
        )


if __name__ == "__main__":
    program.run(main)
