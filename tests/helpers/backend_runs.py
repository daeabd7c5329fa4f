"""What runs and models do with the backend named by KERAS_BACKEND, as found.json.

python -m tests.helpers.backend_runs FOLDER RUN_FOLDER

RUN_FOLDER is a finished run of TensorFlow's, whose model is used. What has to be equal
on every backend is `compared` in the tests' own process, too.
"""

import contextlib
import json
import pathlib
import sys

import keras

from normtest_tf import backbones, datasets, diagnosis
from normtest_tf.export import describe_run, prediction, verification
from normtest_tf.runs import RunFolder, finetuning
from normtest_tf.training import classifier
from tests.helpers import backend_training, faults
from tests.helpers.tiny_runs import CLOCKS, new_config, outcome, tiny_classifier


def digits():
    """Returns images that batches of 32 divide: each shape is compiled anew."""
    return datasets.load("digits").take(64, 32)


def twenty_steps(folder):
    """Trains cifar_resnet8 for 20 steps of 32 images; returns the run's folder."""
    # At a higher learning rate, training makes more of rounding errors.
    options = {"epochs": 2, "learning_rate": 1e-4}
    config = new_config(folder, train_examples=320, test_examples=96, **options)
    finetuning.run(config)
    return config.folder


def compared(own, used):
    """Returns what has to be equal on every backend, from run folders."""
    rows = own.read_history()
    losses, weights = backend_training.trained()
    network = backbones.resolve("cifar_resnet8").build((32, 32, 3))
    images = digits()
    settings = ["finetune", "instance"]
    explained = diagnosis.explain(
        network, images.train_images, labels=images.train_labels, settings=settings
    )
    probabilities = prediction.load(used.path).probabilities(images.test_images)
    return {
        "history": [{k: v for k, v in row.items() if k not in CLOCKS} for row in rows],
        "losses": losses,
        "weights": weights,
        "head": backend_training.drawn_head(),
        "explanation": explained.to_json(),
        "probabilities": probabilities.tolist(),
    }


def exported(folder, run):
    """Returns how far an ONNX file is from a run's model with this backend."""
    model = prediction.load_model(run.model)
    description = describe_run(run, "logits")
    path = folder / "model.onnx"
    images = digits().test_images
    deviation = verification.export(model, path, "onnx", description, images)
    return [deviation.relative, deviation.disagreements, path.stat().st_size]


def resumed(folder):
    """Returns whether a stopped run ends like a whole one, and the whole one's loss."""
    whole, stopped = new_config(folder / "whole"), new_config(folder / "stopped")
    memory = finetuning.run(whole, digits()).peak_memory_mib
    with faults.after_epoch(2), contextlib.suppress(faults.Killed):
        finetuning.run(stopped, digits())
    epochs = finetuning.run(stopped, digits()).resumed_epochs
    loss = whole.folder.read_history()[0]["train_loss"]
    return [*epochs, outcome(stopped) == outcome(whole), memory > 100, loss]


def in_precision(folder, precision):
    """Returns the first loss of a run, and its convolution's dtype."""
    config = new_config(folder / precision, precision=precision, epochs=1)
    finetuning.run(config, digits())
    model = keras.models.load_model(config.folder.model)
    loss = config.folder.read_history()[0]["train_loss"]
    return [loss, model.layers[1].compute_dtype]


def main():
    folder, used = pathlib.Path(sys.argv[1]), RunFolder(pathlib.Path(sys.argv[2]))
    found = {
        "backend": keras.backend.backend(),
        "compared": compared(twenty_steps(folder / "twenty"), used),
        "exploded": backend_training.exploded(),
        "exported": exported(folder, used),
    }
    classifier.build_classifier = tiny_classifier
    found["resumed"] = resumed(folder)
    found["precisions"] = {
        name: in_precision(folder, name) for name in ("mixed_bfloat16", "mixed_float16")
    }
    (folder / "found.json").write_text(json.dumps(found))
