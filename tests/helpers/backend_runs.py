"""Whole runs with the backend named by KERAS_BACKEND, and what becomes of them.

python -m tests.helpers.backend_runs FOLDER RUN_FOLDER

Writes FOLDER/found.json. RUN_FOLDER is a finished run of TensorFlow's, whose model is
used. What has to be equal on every backend is called in the tests' own process, too.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import sys

import keras

from normtest_tf import backbones, datasets, diagnosis, errors
from normtest_tf.export import describe_run, prediction, verification
from normtest_tf.runs import RunFolder, finetuning, history
from normtest_tf.training import classifier, pipeline
from normtest_tf.training.recipe import EpochCosine
from tests.helpers import faults
from tests.helpers.tiny_runs import EPOCHS, new_config, outcome

PRECISIONS = ("mixed_bfloat16", "mixed_float16")
UNFINISHED = "unfinished"


def digits():
    """Returns images that batches of 32 divide: each shape is compiled anew."""
    return datasets.load("digits").take(64, 32)


def twenty_steps(folder):
    """Trains cifar_resnet8 for 20 steps of 32 images; returns the run's folder.

    At a higher learning rate, training makes more of rounding errors.
    """
    config = dataclasses.replace(
        new_config(folder / "twenty", epochs=2, learning_rate=1e-4),
        train_examples=320,
        test_examples=96,
    )
    finetuning.run(config)
    return config.folder


def uses(run):
    """Returns the probabilities of a run's model, and the diagnosis of its network."""
    images = digits()
    classifier = prediction.load(run)
    network = backbones.resolve("cifar_resnet8").build((32, 32, 3))
    explained = diagnosis.explain(
        network,
        images.train_images,
        labels=images.train_labels,
        settings=["finetune", "instance"],
    )
    return {
        "probabilities": classifier.probabilities(images.test_images).tolist(),
        "explanation": explained.to_json(),
    }


def exported(folder, run):
    """Returns how far an ONNX file is from a run's model with this backend."""
    description = describe_run(RunFolder(run), "logits")
    model = prediction.load_model(RunFolder(run).model)
    path = folder / "model.onnx"
    images = digits().test_images
    deviation = verification.export(model, path, "onnx", description, images)
    return [deviation.relative, deviation.disagreements, path.stat().st_size]


def batches():
    """Returns a digest of two epochs of augmented batches."""
    found = hashlib.sha256()
    images = digits()
    for epoch in pipeline.training_batches(
        images.train_images,
        images.train_labels,
        batch_size=32,
        seed=5,
        epochs=range(2),
        augmentation="pad_crop_flip",
    ).as_numpy_iterator():
        for array in epoch:
            found.update(array.tobytes())
    return found.hexdigest()


def small_classifier(network, normalization, task, *, seed, precision, **_):
    """Stands in for `classifier.build_classifier`, in any precision."""
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(precision)
    layers = [
        keras.Input(task.image_shape, dtype="uint8"),
        keras.layers.Rescaling(1 / 255, dtype="float32"),
        keras.layers.Conv2D(4, 3, strides=2, name="convolution"),
        keras.layers.BatchNormalization(momentum=0.9),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dropout(0.1, seed=seed),
        keras.layers.Dense(task.num_classes, dtype="float32"),
    ]
    keras.config.set_dtype_policy("float32")
    return keras.Sequential(layers)


def killed_in_a_child(config, images):
    """Runs in a copy of this process, which kills itself; returns the signal."""
    child = os.fork()
    if not child:
        with faults.after_epoch(2, then=faults.sigkill):
            finetuning.run(config, images)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def resumed(folder, images):
    """Returns what became of interrupted runs that were started again."""
    found = {}
    whole = new_config(folder / "whole")
    killed = new_config(folder / "killed")
    stopped = new_config(folder / "stopped")
    # Before this process has computed anything: its threads would be missing.
    found["status"] = killed_in_a_child(killed, images)
    found["memory"] = finetuning.run(whole, images).peak_memory_mib
    with faults.after_epoch(2), contextlib.suppress(faults.Killed):
        finetuning.run(stopped, images)
    for config in (killed, stopped):
        result = finetuning.run(config, images)
        name = pathlib.Path(config.results_dir).name
        found[name] = [*result.resumed_epochs, outcome(config) == outcome(whole)]
    return found


def exploding(folder, images):
    """Returns what a run says whose loss becomes infinite in the third epoch."""
    real = EpochCosine.__call__

    def explodes(self, step):
        good = step < 2 * self.steps_per_epoch
        return keras.ops.where(good, real(self, step), float("inf"))

    EpochCosine.__call__ = explodes
    try:
        return message(lambda: finetuning.run(new_config(folder / "nan"), images))
    finally:
        EpochCosine.__call__ = real


def message(call):
    """Returns the message of a call's error; None if there is none."""
    try:
        call()
    except errors.UsageError as error:
        return str(error)
    return None


def in_precision(folder, images, precision):
    """Returns the last loss of a run, and its convolution's dtype."""
    config = new_config(folder / precision, precision=precision)
    finetuning.run(config, images)
    model = keras.models.load_model(config.folder.model)
    dtype = model.get_layer("convolution").compute_dtype
    return [history.read(config.folder.history)[-1]["train_loss"], dtype]


def main():
    folder, run = map(pathlib.Path, sys.argv[1:])
    images = digits()
    build = classifier.build_classifier
    classifier.build_classifier = small_classifier
    found = {"backend": keras.backend.backend()}
    found |= resumed(folder, images)
    found["exploded"] = exploding(folder, images)
    found["precisions"] = {
        name: in_precision(folder, images, name) for name in ("float32", *PRECISIONS)
    }
    unfinished = new_config(folder / UNFINISHED)
    with faults.after_epoch(EPOCHS - 1), contextlib.suppress(faults.Killed):
        finetuning.run(unfinished, images)
    classifier.build_classifier = build
    found["twenty_steps"] = history.read(twenty_steps(folder).history)
    found["batches"] = batches()
    found |= uses(run)
    found["exported"] = exported(folder, run)
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
