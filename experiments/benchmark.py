"""Measures speed against PyTorch doing the same work, in the same run.

    pip install torch timm torchvision
    python -m experiments.benchmark --models=resnet18,densenet121 \
        --opponents=eager,tuned --dataset=cifar10 --data_dir=DIR

All sides train the same network from scratch on the same images, pipeline included:
this project as experiments.train does, with each of --backends; PyTorch eagerly with
the PyTorch study's DataLoader on PIL images; and PyTorch as fast as we know how, chosen
by trying, see experiments/support/speed/theirs.py. Each measurement runs in its own
process, after an unmeasured first epoch; the sides alternate. Quote the ratios:
absolute rates depend on the machine, which should be idle.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from absl import flags

from experiments.support import flags as shared
from experiments.support import program, pytorch
from experiments.support.speed import ours, report, study
from experiments.support.speed.work import Measurement, Work, in_new_process
from normtest_tf import backbones, datasets, errors
from normtest_tf.system import files, keras_setup

if TYPE_CHECKING:
    from experiments.support.speed.theirs import Candidate

FLAGS = flags.FLAGS
TRAIN_EXAMPLES = 5120  # Unless the flag says otherwise: 20 steps of the default batch.
OPPONENTS = ("eager", "tuned")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")

shared.define("dataset", *shared.DATA, "batch_size")
flags.DEFINE_list(
    "models", ["resnet18"], "Networks to train: ResNets or DenseNets of timm's."
)
flags.DEFINE_list("opponents", ["eager"], "PyTorch's sides: eager, tuned, or both.")
flags.DEFINE_list(
    "precisions", ["float32"], "Our sides: float32, mixed_bfloat16, mixed_float16."
)
flags.DEFINE_list(
    "backends",
    None,
    "Our sides' backends, each in all precisions: tensorflow, jax, torch. Default: the "
    "environment variable KERAS_BACKEND, else tensorflow.",
)
flags.DEFINE_integer("rounds", 3, "Measurements of each side.", lower_bound=1)
flags.DEFINE_integer(
    "workers",
    2,
    "Worker processes of the eager side's DataLoader; 0 loads in the main process.",
    lower_bound=0,
)
flags.DEFINE_bool(
    "study",
    False,
    f"Measure a list of {study.RUNS} runs of {study.EPOCHS} epochs instead of steps, "
    "against eager PyTorch, with all layers trained and with the head alone.",
)
flags.DEFINE_string(
    "output",
    None,
    "JSON file for the measurements; those of other networks in it are kept. Default: "
    "none.",
)
flags.DEFINE_string(
    "page",
    None,
    "Markdown file whose section between the marks is replaced by tables of all "
    "networks in --output, such as docs/measurements.md. Default: none.",
)

Side = Callable[[], Measurement]


def main(argv: Sequence[str]) -> None:
    """Measures each network, and prints and writes tables."""
    del argv
    check_flags()
    pytorch.check_installed()
    keras_setup.import_tensorflow()
    dataset = datasets.load(FLAGS.dataset, shared.run_config().reading, program.note)
    most = min(TRAIN_EXAMPLES, len(dataset.train_labels))
    dataset = dataset.take(FLAGS.train_examples or most, FLAGS.test_examples)
    if len(dataset.train_labels) <= FLAGS.batch_size:
        raise errors.UsageError(
            "an epoch needs two batches or more: the first is not timed. Received: "
            f"{len(dataset.train_labels)} images, --batch_size={FLAGS.batch_size}"
        )
    results = read_results()
    with tempfile.TemporaryDirectory() as name:
        for model in FLAGS.models:
            work = Work(
                pathlib.Path(name), model, dataset.num_classes, FLAGS.batch_size
            )
            work.write(dataset.train_images, dataset.train_labels)
            if FLAGS.study:
                measure_study(dataset, work)
                continue
            results[model] = measure(work)
            print(f"{report.terminal(results[model])}\n", flush=True)
            write_results(results)


def check_flags() -> None:
    """Raises `UsageError` for names that are not allowed and files that are missing."""
    networks = [
        entry.name
        for entry in backbones.ARCHITECTURES.values()
        if entry.tags[entry.default_tag].origin.startswith("hf:timm/")
    ]
    for kind, received, allowed in (
        ("model", FLAGS.models, networks),
        ("opponent", FLAGS.opponents, OPPONENTS),
        ("precision", FLAGS.precisions, PRECISIONS),
        ("backend", backends(), keras_setup.BACKENDS),
    ):
        if not received:
            raise errors.UsageError(f"--{kind}s is empty. Allowed: {allowed}")
        for name in received:
            if name not in allowed:
                raise errors.unknown_name(kind, name, list(allowed))
    if FLAGS.study and (FLAGS.opponents != ["eager"] or FLAGS.output or FLAGS.page):
        raise errors.UsageError(
            "--study compares with eager PyTorch and prints lines: omit --opponents, "
            "--output and --page"
        )
    for name in backends():
        keras_setup.check_installed(name)
    if FLAGS.output:
        files.check_writable(files.expand(FLAGS.output).parent)
    if FLAGS.page:
        if not FLAGS.output:
            raise errors.UsageError("--page shows the networks in --output: pass both")
        page = files.read_text(files.expand(FLAGS.page))
        report.replace_section(page, "", name=FLAGS.page)


def measure(work: Work) -> report.Result:
    """Measures all sides of one network, one after the other in each round."""
    tried = try_candidates(work) if "tuned" in FLAGS.opponents else {}
    sides = make_sides(work, tried)
    measured: dict[str, list[Measurement]] = {side: [] for side in sides}
    for number in range(1, FLAGS.rounds + 1):
        for side, run in sides.items():
            print(f"{work.model}: round {number}/{FLAGS.rounds}, {side}", flush=True)
            measured[side].append(run())
    return report.Result(
        work.model,
        len(work.read_images()[1]),
        work.batch_size,
        measured,
        {str(candidate): rate for candidate, rate in tried.items()},
        in_new_process(ours.environment, backends()),
    )


def measure_study(dataset: datasets.ImageDataset, work: Work) -> None:
    """Measures lists of runs of one network, and prints a line for each."""
    for train, way in itertools.product(("head", "all"), ways()):
        options = {"workers": FLAGS.workers, "rounds": FLAGS.rounds}
        print(study.compare(dataset, work, train, way, **options), flush=True)


def backends() -> list[str]:
    """Returns the backends of our sides."""
    return FLAGS.backends or [keras_setup.backend()]


def ways() -> list[ours.Way]:
    """Returns our sides: each backend in each precision."""
    return [ours.Way(*way) for way in itertools.product(backends(), FLAGS.precisions)]


def try_candidates(work: Work) -> dict[Candidate, float]:
    """Returns the images/s of each way that the tuned side may run a network."""
    from experiments.support.speed import theirs

    tried = {}
    for candidate in theirs.candidates():
        print(f"{work.model}: trying {candidate}", flush=True)
        tried[candidate] = in_new_process(theirs.try_candidate, work, candidate)
    return tried


def make_sides(work: Work, tried: dict[Candidate, float]) -> dict[str, Side]:
    """Returns what measures each side, in a process of its own, by the side's name."""
    from experiments.support.speed import theirs

    chosen: dict[str, tuple[Callable[..., Measurement], object]] = {
        f"{report.OURS}{way}": (ours.measure, way) for way in ways()
    }
    if "eager" in FLAGS.opponents:
        chosen["PyTorch, eager"] = (theirs.eager, FLAGS.workers)
    if tried:
        fastest = max(tried, key=lambda candidate: tried[candidate])
        chosen["PyTorch, tuned"] = (theirs.tuned, fastest)

    def side(function: Callable[..., Measurement], option: object) -> Side:
        return lambda: in_new_process(function, work, option, time.time())

    return {name: side(*of_side) for name, of_side in chosen.items()}


def read_results() -> dict[str, report.Result]:
    """Returns the results that the output file has already, by network."""
    if not FLAGS.output or not (path := files.expand(FLAGS.output)).exists():
        return {}
    advice = "it has no measurements of this program; choose another file"
    return files.read_json(path, advice, dict[str, report.Result])


def write_results(results: dict[str, report.Result]) -> None:
    """Writes the output file and the page."""
    if FLAGS.output:
        values = {name: dataclasses.asdict(one) for name, one in results.items()}
        files.write_json(files.expand(FLAGS.output), values)
    if FLAGS.page:
        page = files.expand(FLAGS.page)
        section = report.markdown(list(results.values()))
        files.write_text(
            page,
            report.replace_section(files.read_text(page), section, name=FLAGS.page),
        )


if __name__ == "__main__":
    program.run(main)
