r"""Says before training which input statistics to take, and why.

    python -m experiments.explain --dataset=cifar10 --data_dir=DIR --model=resnet18

From a few hundred training images: which setting to take behind a frozen backbone, and
on which measurement that rests; how far the features move, and through what; and how
far the data are from the statistics stored in each batch normalization. The text is
printed; explanation.html, explanation.json, probes.csv and the figure are written to
--out_dir.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from absl import flags

from experiments.support import flags as shared
from experiments.support import program
from normtest_tf import datasets
from normtest_tf.diagnosis import inputs
from normtest_tf.diagnosis.findings import WIDTH
from normtest_tf.normalization import CONTROL, GIVEN, TREATMENT
from normtest_tf.system import files, keras_setup
from normtest_tf.training import choices

if TYPE_CHECKING:
    from normtest_tf.diagnosis import Explanation
    from normtest_tf.runs import RunConfig

FLAGS = flags.FLAGS

shared.define("dataset", *shared.DATA, "shift", "subset", "seed")
shared.define("examples_per_class")
shared.define("model", "weights", *shared.PRETRAINING, *shared.CONSTANTS)
flags.DEFINE_integer(
    "examples", 512, "Training images to look at, the first ones.", lower_bound=2
)
flags.DEFINE_list(
    "normalizations", [], f"Settings to look at, beside {CONTROL} and {TREATMENT}."
)
shared.define_backend()
flags.DEFINE_string("out_dir", "explanation", "Folder for the page and the figure.")


def main(argv: Sequence[str]) -> None:
    """Makes the diagnosis, prints and writes it."""
    del argv
    out_dir = files.expand(FLAGS.out_dir)
    is_given = {"normalization": GIVEN} if GIVEN in FLAGS.normalizations else {}
    config = shared.run_config(**is_given)
    config.check()
    inputs.settings_of(FLAGS.normalizations)
    datasets.check_available(config.dataset, config.reading)
    files.check_writable(out_dir)
    keras_setup.import_tensorflow()
    found = _explain(config)
    print(found.to_text(min(shutil.get_terminal_size((WIDTH, 0)).columns, WIDTH)))
    write(found, out_dir, str(datasets.parse_shift(config.shift)))
    write_probes(found, config, out_dir)
    print(f"\npage: {out_dir / 'explanation.html'}")


def _explain(config: RunConfig) -> Explanation:
    """Loads the images, builds the network and looks at both."""
    from normtest_tf import diagnosis

    dataset = datasets.load(config.dataset, config.reading, program.note)
    dataset = config.subset_of(dataset)
    network = config.resolved.network
    examples = min(FLAGS.examples, len(dataset.train_labels))
    return diagnosis.explain(
        network.build(dataset.image_shape, program.note),
        np.asarray(dataset.train_images[:examples]),
        labels=dataset.train_labels[:examples],
        settings=[
            config.resolved.setting if name == GIVEN else name
            for name in FLAGS.normalizations
        ],
        pretraining=network.pretraining.statistics,
        training_images=dataset.train_images,
        channel_order=network.pretraining.channel_order,
        examples=examples,
        trained=network.label != "none",
        whole=True,  # A file's classifier is off already.
        model_name=f"{config.name.model} ({network.label})",
        data_name=config.name.dataset,
    )


def write(found: Explanation, out_dir: pathlib.Path, shift: str) -> None:
    """Writes a diagnosis' page, its numbers and its figure."""
    from normtest_tf.diagnosis import findings
    from normtest_tf.report import document
    from plots import diagnosis, style

    figure = ""
    if found.layers:
        figure = f"{findings.FIGURE}.png"
        style.save(
            diagnosis.distances_figure(found),
            out_dir / figure,
            out_dir / f"{findings.FIGURE}.svg",
        )
    numbers = {**found.to_json(), "shift": shift}
    files.write_json(out_dir / "explanation.json", numbers)
    page = document.to_html(found.to_markdown(figure), out_dir)
    files.write_text(out_dir / "explanation.html", page)


def write_probes(found: Explanation, config: RunConfig, out_dir: pathlib.Path) -> None:
    """Writes a row for each linear probe, under the name of the cell it speaks of."""
    lines = ["dataset,model,points,standard_error"]
    for advice in found.advice:
        again = advice.training != choices.HEAD
        probed = dataclasses.replace(config, train=choices.HEAD, recalibrate=again)
        dataset, model = probed.name.cell
        lines.append(f"{dataset},{model},{advice.points},{advice.error}")
    files.write_text(out_dir / "probes.csv", "\n".join(lines) + "\n")


if __name__ == "__main__":
    program.run(main)
