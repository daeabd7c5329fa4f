r"""Classifies image files with a run's model.

    python -m experiments.predict --model=results/cifar10/resnet18-finetune/seed-223 \
        cat.png dog.jpg

prints the likeliest classes of each file with their probabilities. Images of another
size than the model's are resized, which each line says.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import flags

from experiments.support import program
from normtest_tf import errors
from normtest_tf.system import files, quiet

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "model",
    None,
    "A finished run's folder, its model.keras, or a .keras file by experiments.export.",
    required=True,
)
flags.DEFINE_integer("top", 3, "Classes to show for each image.", lower_bound=1)


def main(argv: Sequence[str]) -> None:
    """Classifies the files that are named; each bad one gets a line on stderr."""
    paths = [files.expand(name) for name in argv[1:]]
    if not paths:
        raise errors.UsageError("name one or more image files after the flags")
    model_path = files.expand(FLAGS.model)
    if not model_path.exists():
        raise errors.UsageError(f"--model={model_path} does not exist")
    quiet.import_tensorflow()
    import numpy as np

    from normtest_tf.export import prediction

    classifier = prediction.load(model_path)
    read, failures = [], []
    for path in paths:
        try:
            read.append((path, *prediction.read_image(path, classifier.image_size)))
        except errors.UsageError as error:
            failures.append(error)
    if read:
        _, images, _ = zip(*read, strict=True)
        probabilities = classifier.probabilities(np.stack(images))
        for (path, _, note), row in zip(read, probabilities, strict=True):
            line = prediction.top(row, classifier.class_names, FLAGS.top)
            print(f"{path}: {line}" + (f" ({note})" if note else ""))
    for error in failures:
        print(f"error: {errors.one_line(error)}", file=sys.stderr)
    if failures:
        sys.exit(program.USAGE_STATUS)


if __name__ == "__main__":
    program.run(main, arguments=True)
