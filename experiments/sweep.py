r"""Runs a grid of data sets, shifts, models, regimes, settings and seeds.

    python -m experiments.sweep --datasets=cifar10,cifar100 --data_dir=DIR \
        --models=resnet18,densenet121 --normalizations=pretrain,finetune --seeds=1,2,3

Each run is an ordinary run of experiments.train. Finished runs are skipped; failures
are recorded and the sweep continues; run the same command again to resume.
experiments/presets/ has flagfiles of whole studies:

    python -m experiments.sweep --flagfile=experiments/presets/reference_table1.flags
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from absl import flags

from experiments.support import flags as shared
from experiments.support import program
from normtest_tf import datasets, errors, normalization, text
from normtest_tf.runs import RunConfig
from normtest_tf.runs.config import DATASETS, MODEL_FILE, WEIGHTS
from normtest_tf.sweeps import estimates, grid, runner
from normtest_tf.sweeps.executor import Executor, Options
from normtest_tf.system import keras_setup
from normtest_tf.training import choices

FLAGS = flags.FLAGS

flags.DEFINE_list(
    "datasets",
    ["cifar10"],
    f"Data sets to fine-tune on, each one of: {DATASETS} A path with a comma "
    "is put in double quotes: --datasets='\"folder:/data/a,b\",digits'.",
)
flags.DEFINE_list(
    "models",
    ["resnet18"],
    "Networks to fine-tune; `experiments.train --list_models` lists them all. Or your "
    f"own: {MODEL_FILE} A path with a comma is put in double quotes.",
)
flags.DEFINE_list(
    "weights",
    [],
    f"Pre-trained weights of all models: {WEIGHTS} Or for some of them: "
    "MODEL=WEIGHTS,MODEL=WEIGHTS. A path with a comma is put in double quotes: "
    "--weights='\"resnet18=/data/a,b.safetensors\"'.",
)
flags.DEFINE_list(
    "normalizations",
    ["pretrain", "finetune"],
    "Settings to compare: " + ", ".join(normalization.SETTINGS) + ".",
)
flags.DEFINE_list(
    "shift",
    [datasets.NO_SHIFT],
    f"What is done to all images, one cell each: {datasets.SHIFT_HELP} A cast is put "
    "in double quotes: --shift='none,\"cast:1,0.6,0.3\"'.",
)
flags.DEFINE_list(
    "train",
    [choices.ALL],
    "What is trained, one cell each. "
    + "; ".join(f"{name}: {text}" for name, text in choices.REGIMES.items())
    + ".",
)
shared.define_seeds([1, 2, 3, 4, 5])
shared.define(*shared.DATA, *shared.PRETRAINING, *shared.CONSTANTS)
shared.define(*shared.RECIPE, *shared.FINETUNING, *shared.OUTPUT)
shared.define_backend()
flags.DEFINE_enum(
    "executor",
    "local",
    list(runner.EXECUTORS),
    "Where runs are executed. local: in worker processes of this machine, one for each "
    "of its GPUs; ray: on the nodes of a Ray cluster, which share the results folder.",
)
flags.DEFINE_string(
    "ray_address",
    None,
    "HOST:PORT of the cluster's head node, auto for the cluster of this machine, or "
    "local for this machine alone. Default: the environment variable RAY_ADDRESS or "
    "auto, and without a cluster local.",
)
flags.DEFINE_float(
    "gpus_per_run",
    None,
    "GPUs of a run, which share each batch with --strategy=data_parallel; several runs "
    "share one if it is a fraction. Default: 1 where there are any.",
    lower_bound=0,
)
flags.DEFINE_float(
    "cpus_per_run",
    None,
    "CPUs of a run, by which Ray decides how many runs a node executes at a time. "
    "Default: 1.",
    lower_bound=0,
)
flags.DEFINE_integer(
    "runs_at_a_time",
    None,
    "How many runs are executed at a time. Default: as many as there are GPUs for, and "
    "one on a machine without; with Ray, as many as its nodes have room for.",
    lower_bound=1,
)
flags.DEFINE_bool(
    "dry_run", False, "Print the plan and how long it would take, and stop."
)


def configurations() -> list[RunConfig]:
    """Returns the requested runs, checked."""
    for name in FLAGS.normalizations:
        normalization.get(name)
    axes = grid.Axes(
        FLAGS.datasets,
        FLAGS.models,
        FLAGS.normalizations,
        shared.parse_seeds(FLAGS.seeds),
        [str(datasets.parse_shift(value)) for value in FLAGS.shift],
        FLAGS.train,
    )
    weights = weights_by_model(FLAGS.weights, FLAGS.models)
    base = shared.run_config(weights=None, shift=axes.shift[0], train=axes.train[0])
    configs = grid.grid(base, axes, weights)
    grid.check(configs)
    return configs


def weights_by_model(
    values: Sequence[str], models: Sequence[str]
) -> dict[str, str | None]:
    """Returns each model's weights: one value for all, or MODEL=WEIGHTS for some."""
    weights: dict[str, str | None] = dict.fromkeys(models)
    for value in values:
        # Paths may have equals signs, in models as well.
        named = [model for model in models if value.startswith(f"{model}=")]
        if not named and len(values) == 1:
            return dict.fromkeys(models, value)
        model = max(named, key=len, default="")
        if model not in weights or weights[model] is not None:
            raise errors.UsageError(
                "--weights takes one value for all models, or MODEL=WEIGHTS at most "
                f"once for each of --models={','.join(models)}. Received: {value!r}"
            )
        weights[model] = value.removeprefix(f"{model}=")
    return weights


def executor() -> Executor:
    """Returns what the flags say about where to run."""
    if (FLAGS.gpus_per_run or 0) > 1 and FLAGS.strategy == choices.NONE:
        raise errors.UsageError(
            f"--gpus_per_run={FLAGS.gpus_per_run:g} needs --backend=jax and "
            "--strategy=data_parallel: without them, a run computes on one GPU"
        )
    options = Options(
        FLAGS.gpus_per_run, FLAGS.cpus_per_run, FLAGS.runs_at_a_time, FLAGS.ray_address
    )
    return runner.EXECUTORS[FLAGS.executor](options)


def main(argv: Sequence[str]) -> None:
    """Runs what remains and prints where the results are."""
    del argv
    configs = configurations()
    if FLAGS.dry_run:
        with executor() as chosen:
            slots = chosen.slots()
        keras_setup.import_tensorflow()
        _print_plan(configs, slots)
        return
    _print_summary(runner.run_all(configs, program.show, executor()))


def _print_plan(configs: Sequence[RunConfig], slots: int) -> None:
    """Prints the runs, and how long they would take, so many at a time."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > cores / 2:
        program.note(
            f"other programs keep this machine busy (a load of {load:.1f} on "
            f"{text.counted(cores, 'core')}); when it is idle, runs take less time"
        )
    for problem in grid.missing_weights(configs):
        program.note(problem)
    seconds = estimates.expected_seconds(configs, program.show)
    print(text.text_table(estimates.plan_table(configs, seconds)))
    waiting = [config for config in configs if not config.is_done]
    left = estimates.Clock(seconds).left(waiting, slots) or 0.0
    at_a_time = f", {slots} at a time" if slots > 1 else ""
    print(
        f"\n{len(waiting)} of {len(configs)} runs to do{at_a_time}, about "
        f"{text.duration(left)} on this machine; results would be written to "
        f"{FLAGS.results_dir}"
    )


def _print_summary(tally: runner.Tally) -> None:
    """Prints what was done and what to do next; failed runs are an error."""
    print(
        f"\n{text.counted(tally.done, 'run')} done, {tally.skipped} finished before, "
        f"{tally.failed} failed"
    )
    if tally.elsewhere:
        print(f"left to another process: {text.counted(tally.elsewhere, 'run')}")
    folder = shlex.quote(FLAGS.results_dir)
    print(f"results: {FLAGS.results_dir}")
    print(f"report:  python -m experiments.report --results_dir={folder}")
    if tally.failed:
        raise errors.UsageError(
            f"{text.counted(tally.failed, 'run')} failed; see failed.json in the run's "
            "folder. Run the same command to retry"
        )


if __name__ == "__main__":
    program.run(main)
