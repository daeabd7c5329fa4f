r"""Evaluates a model on labelled images, normalised as in training or otherwise.

    python -m experiments.evaluate --dataset=cifar10 \
        --model=results/cifar10/resnet18-pretrain/seed-223 --normalization=minmax

Images are resized and shifted as in training, unless flags say otherwise. Accuracy, its
95% interval, and the most frequent confusions are printed; evaluation.json (also per
class), confusion.csv and confusion.png are written to --out_dir.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags

from experiments.support import flags as shared
from experiments.support import program
from normtest_tf import datasets, errors
from normtest_tf.normalization import CONTROL
from normtest_tf.runs import RunConfig, metadata
from normtest_tf.system import files, keras_setup
from normtest_tf.text import shown

if TYPE_CHECKING:
    from normtest_tf.export.evaluation import Evaluation
    from normtest_tf.export.prediction import Classifier

FLAGS = flags.FLAGS
MAX_NAMED = 5

flags.DEFINE_string(
    "model",
    None,
    "A finished run's folder, its model.keras, or an export as a .keras file, "
    "keras_folder or timm folder.",
    required=True,
)
_READING = [name for name in shared.DATA if not name.startswith(("image", "train_ex"))]
shared.define("dataset", *_READING, normalization=None, shift=None)
shared.define(*shared.PRETRAINING, *shared.CONSTANTS)
flags.DEFINE_enum(
    "split",
    "test",
    ["test", "train", "all"],
    "The images to classify: those to test on, those to train on, or both.",
)
flags.DEFINE_enum(
    "channels",
    "rgb",
    ["rgb", "bgr"],
    "bgr: swap red and blue of all images, as OpenCV reads them.",
)
shared.define_backend()
flags.DEFINE_string("out_dir", "evaluation", "Folder for the results.")


def main(argv: Sequence[str]) -> None:
    """Evaluates, prints and writes."""
    del argv
    path, out_dir = files.expand(FLAGS.model), files.expand(FLAGS.out_dir)
    description = metadata.find(path)
    config = _config(description)
    config.check()
    is_other = _is_other(config, description)
    datasets.check_available(config.dataset, config.reading)
    files.check_writable(out_dir)
    keras_setup.import_tensorflow()
    from normtest_tf.export import prediction

    classifier = prediction.load(path, description)
    dataset = datasets.load(config.dataset, config.reading, program.note)
    _note_on_images(dataset, description["run"])
    dataset = dataset.take(test_examples=config.test_examples)
    used: dict[str, Any] = {
        name: description[name] for name in ("normalization", "statistics")
    }
    if is_other:
        classifier, used = _renormalised(classifier, config, description, dataset)
    found = _evaluate(classifier, dataset)
    print(f"{_summary(found)}\ninputs    {_inputs(used)}")
    if (accuracy := description["run"].get("test_accuracy")) is not None:
        trained = (
            f"with {description['normalization']} on {description['run']['dataset']}"
        )
        print(f"trained   {trained}, test accuracy {accuracy:.1%}")
    used |= {"shift": config.shift, "resize": config.resize, "channels": FLAGS.channels}
    used |= {"dataset": dataset.name, "split": FLAGS.split, "run": description["run"]}
    _write(found, out_dir, used)


def _config(description: dict[str, Any]) -> RunConfig:
    """Returns how to read the images and what to normalise with, from the flags."""
    image = description["image"]
    return shared.run_config(
        model="cifar_resnet8",  # Any; the model's own is not looked up.
        weights="none",
        normalization=FLAGS.normalization or CONTROL,
        image_size=image["shape"][0],
        resize=FLAGS.resize or image.get("resize", "squash"),
        shift=FLAGS.shift or image.get("shift", datasets.NO_SHIFT),
    )


def _is_other(config: RunConfig, description: dict[str, Any]) -> bool:
    """Tells whether flags ask for another normalization than the run's own."""
    if not FLAGS.normalization and not FLAGS.pretrain_mean:
        return False
    setting, run = config.resolved.setting, description["run"]
    if FLAGS.pretrain_mean and setting.name != CONTROL:
        raise errors.UsageError(
            f"--pretrain_mean and --pretrain_std are of --normalization={CONTROL}. "
            f"Received: {setting.name}"
        )
    same = (description["normalization"], run.get("dataset"))
    if (setting.name, datasets.slug(config.dataset)) == same:
        return bool(FLAGS.pretrain_mean or FLAGS.mean)
    if setting.folds:
        raise errors.UsageError(
            f"{setting.name} changes the network, not only its inputs: evaluate a run "
            "of it, or choose another --normalization"
        )
    return True


def _note_on_images(dataset: datasets.ImageDataset, run: dict[str, Any]) -> None:
    """Says where the model may have been trained on some of the images."""
    is_same = dataset.name == run.get("dataset")
    if is_same and FLAGS.split != "test":
        program.note(f"the model was trained on images of {dataset.name}")
    elif dataset.division and dataset.fingerprint() != run.get("data_fingerprint"):
        advice = "images that it was not trained on may all be used: --split=all"
        if is_same:
            advice = (
                "the model was trained on some of these, unless the run divided them "
                "so; pass its --test_fraction and --split_seed"
            )
        program.note(f"{dataset.name} has no test split: {dataset.division}; {advice}")


def _renormalised(
    classifier: Classifier,
    config: RunConfig,
    description: dict[str, Any],
    dataset: datasets.ImageDataset,
) -> tuple[Classifier, dict[str, Any]]:
    """Returns the classifier with another normalization, and the record of it."""
    from normtest_tf.export import evaluation

    statistics, order = metadata.pretraining(description)
    if FLAGS.pretrain_mean:
        statistics = config.resolved.network.pretraining.statistics
    setting = config.resolved.setting
    own = setting.statistics(dataset.train_images, statistics, program.note)
    if own:
        here = f"{dataset.name} ({len(dataset.train_labels):,})"
        own = dataclasses.replace(own, source=own.source.replace("this run", here))
    used = {
        "normalization": setting.name,
        "statistics": own and dataclasses.asdict(own),
    }
    return evaluation.renormalised(classifier, setting, own, order), used


def _evaluate(classifier: Classifier, dataset: datasets.ImageDataset) -> Evaluation:
    """Classifies the images of `--split`."""
    import tqdm

    from normtest_tf.export import evaluation

    splits = {
        "train": (dataset.train_images, dataset.train_labels),
        "test": (dataset.test_images, dataset.test_labels),
    }
    found = [
        evaluation.evaluate(
            classifier,
            *splits[name],
            dataset.class_names,
            swap_channels=FLAGS.channels == "bgr",
            progress=lambda blocks: tqdm.tqdm(blocks, leave=False, disable=None),
        )
        for name in splits
        if FLAGS.split in (name, "all")
    ]
    counts = sum((one.counts for one in found[1:]), found[0].counts)
    return dataclasses.replace(found[0], counts=counts)


def _summary(found: Evaluation) -> str:
    """Says how accurate it is, where least, and what is confused most."""
    from normtest_tf.export.evaluation import in_words

    values, names = found.to_json(), list(map(shown, found.class_names))
    tested = sorted(values["per_class"], key=lambda one: one["accuracy"])
    lowest = [f"{shown(one['class'])} {in_words(one)}" for one in tested[:MAX_NAMED]]
    wrong = found.counts - np.diag(found.counts.diagonal())
    most = np.argsort(-wrong, axis=None, kind="stable")[:MAX_NAMED]
    confused = [
        f"{names[i]} as {names[j]} {wrong[i, j]:,}"
        for i, j in zip(*np.unravel_index(most, wrong.shape), strict=True)
        if wrong[i, j]
    ]
    return (
        f"accuracy  {in_words(values)}\n"
        f"lowest    {'; '.join(lowest)}\n"
        f"confused  {'; '.join(confused) or 'nothing'}"
    )


def _inputs(used: dict[str, Any]) -> str:
    """Says how inputs were normalised."""
    if used["statistics"] is None:
        return str(used["normalization"])
    mean, std = (
        ",".join(f"{x:.4g}" for x in used["statistics"][name])
        for name in ("mean", "std")
    )
    source = used["statistics"]["source"]
    return f"{used['normalization']}: mean {mean}, std {std}; {source}"


def _write(found: Evaluation, out_dir: pathlib.Path, used: dict[str, Any]) -> None:
    """Writes the numbers, the matrix and its figure, and prints where they are."""
    from plots import confusion, style

    files.write_json(out_dir / "evaluation.json", {**found.to_json(), **used})
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["true \\ predicted", *found.class_names])
    rows = zip(found.class_names, found.counts.tolist(), strict=True)
    writer.writerows([name, *row] for name, row in rows)
    files.write_text(out_dir / "confusion.csv", table.getvalue())
    figure = confusion.confusion_figure(found.class_names, found.counts)
    style.save(figure, out_dir / "confusion.png")
    for name in ("evaluation.json", "confusion.csv", "confusion.png"):
        print(f"written   {out_dir / name}")


if __name__ == "__main__":
    program.run(main)
