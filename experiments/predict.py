r"""Classifies image files with a run's model.

    python -m experiments.predict --model=results/cifar10/resnet18-finetune/seed-223 \
        cat.png dog.jpg

This prints the most likely classes of each image with their probabilities. Images of a
different size are resized, and the output says so. As in folders of images, hidden and
system files and files whose content is no image are left out, with a note.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from absl import flags

from experiments.support import flags as shared
from experiments.support import program
from normtest_tf import errors
from normtest_tf.datasets.images import is_image, is_system, map_in_threads
from normtest_tf.runs import metadata
from normtest_tf.system import files, keras_setup
from normtest_tf.text import shown

if TYPE_CHECKING:
    from normtest_tf.export.prediction import Classifier

FLAGS = flags.FLAGS
MAX_NAMED = 10

flags.DEFINE_string(
    "model",
    None,
    "A finished run's folder, its model.keras, or a .keras file, keras_folder or timm "
    "folder written by experiments.export.",
    required=True,
)
shared.define_backend()
flags.DEFINE_integer("top", 3, "Show the N most likely classes.", lower_bound=1)


class Image(NamedTuple):
    """An image file: its pixels, and a note if they were resized."""

    path: pathlib.Path
    pixels: np.ndarray
    note: str


def main(argv: Sequence[str]) -> None:
    """Classifies the given files; each unreadable one gets a line on stderr."""
    paths = [files.expand(name) for name in argv[1:]]
    if not paths:
        raise errors.UsageError("name one or more image files after the flags")
    model_path = files.expand(FLAGS.model)
    description = metadata.find(model_path)  # Refuses bad paths before the slow import.
    paths = _without_left_out(paths)
    keras_setup.import_tensorflow()
    from normtest_tf.export import prediction

    classifier = prediction.load(model_path, description)
    images, failures = _read(paths, classifier)
    if images:
        _classify(images, classifier)
    for error in failures:
        print(f"error: {errors.one_line(error)}", file=sys.stderr)
    if failures:
        sys.exit(program.USAGE_STATUS)


def _without_left_out(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    """Returns the files to classify; the others are named in a note on stderr.

    They are the files that a folder of images would be read without.
    """
    left_out = [
        path
        for path in paths
        if os.path.isfile(path) and (is_system(path.name) or not is_image(path))
    ]
    if not left_out:
        return paths
    names = ", ".join(shown(path.name) for path in left_out[:MAX_NAMED])
    more = ", ..." if len(left_out) > MAX_NAMED else ""
    what = f"hidden or system files, or files without an image: {names}{more}"
    kept = [path for path in paths if path not in left_out]
    if not kept:
        raise errors.UsageError(f"there is nothing to classify, only {what}")
    print(f"note: left out {what}", file=sys.stderr)
    return kept


def _read(
    paths: list[pathlib.Path], classifier: Classifier
) -> tuple[list[Image], list[errors.UsageError]]:
    """Returns the images of the files that can be read, and an error for each other."""

    def read(path: pathlib.Path) -> Image | errors.UsageError:
        try:
            return Image(path, *classifier.read(path))
        except errors.UsageError as error:
            return error

    results = list(map_in_threads(read, paths))
    images = [result for result in results if isinstance(result, Image)]
    failures = [result for result in results if isinstance(result, errors.UsageError)]
    return images, failures


def _classify(images: list[Image], classifier: Classifier) -> None:
    """Prints the most likely classes of each image."""
    rows = classifier.probabilities(np.stack([image.pixels for image in images]))
    for image, row in zip(images, rows, strict=True):
        line = classifier.top(row, FLAGS.top)
        note = f" ({image.note})" if image.note else ""
        print(f"{shown(str(image.path))}: {line}{note}")


if __name__ == "__main__":
    program.run(main, arguments=True)
