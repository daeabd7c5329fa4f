"""Runs of a tiny network in this process, and the outcome that faults must keep."""

import dataclasses

import keras

from normtest_tf import runs

EPOCHS = 4
CLOCKS = ("seconds", "images_per_second")


def outcome(config):
    """Returns a run's history, model, chosen epochs and predicted classes."""
    rows = [
        {name: value for name, value in row.items() if name not in CLOCKS}
        for row in config.folder.read_history()
    ]
    result = dataclasses.asdict(runs.ResultRecord.read(config.folder))
    chosen = {k: v for k, v in result.items() if k.endswith(("epoch", "accuracy"))}
    written = (config.folder.model, config.folder.predictions)
    return rows, chosen, [path.read_bytes() for path in written]


def tiny_classifier(network, normalization, task, *, seed, precision="float32", **_):
    """Stands in for `classifier.build_classifier`; trains in a second."""
    keras.utils.clear_session()  # So that layers have the same names in every run.
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(precision)
    layers = [
        keras.Input(task.image_shape, dtype="uint8"),
        keras.layers.Rescaling(1 / 255, dtype="float32"),
        keras.layers.Conv2D(4, 3, strides=2),
        keras.layers.BatchNormalization(momentum=0.9),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dropout(0.1, seed=seed),
        keras.layers.Dense(task.num_classes, dtype="float32"),
    ]
    keras.config.set_dtype_policy("float32")
    return keras.Sequential(layers)


def new_config(folder, **values):
    values = {"epochs": EPOCHS, "keep": "best_test", "learning_rate": 0.01} | values
    values.setdefault("checkpoint_every", 1)
    return runs.RunConfig(
        dataset="digits",
        model="cifar_resnet8",
        batch_size=32,
        results_dir=str(folder),
        **values,
    )


def names(config):
    """Returns the names of the files and folders in a run's folder."""
    return {path.name for path in config.folder.path.iterdir()}
