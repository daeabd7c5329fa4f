"""Runs of a tiny network in this process, and ways to end them."""

import contextlib

import keras
import pytest

from normtest_tf import runs

EPOCHS = 4
CLOCKS = ("seconds", "images_per_second")


class Killed(BaseException):
    """Ends a run as abruptly as an exception can."""


def tiny_classifier(*_, image_shape, num_classes, seed, **__):
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input(image_shape, dtype="uint8"),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(4, 3, strides=2),
        keras.layers.BatchNormalization(momentum=0.9),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dropout(0.1, seed=seed),
        keras.layers.Dense(num_classes),
    ]
    return keras.Sequential(layers), []


def new_config(folder, **values):
    values = {"epochs": EPOCHS, "keep": "best_test", "learning_rate": 0.01} | values
    return runs.RunConfig(
        dataset="digits",
        model="cifar_resnet8",
        batch_size=32,
        results_dir=str(folder),
        **values,
    )


def outcome(config):
    """Returns what must not depend on interruptions: history, weights, choices."""
    result = runs.read_json(config.folder / "result.json")
    chosen = {k: v for k, v in result.items() if k.endswith(("epoch", "accuracy"))}
    rows = [
        {name: value for name, value in row.items() if name not in CLOCKS}
        for row in runs.read_history(config.folder)
    ]
    model = keras.models.load_model(config.folder / "model.keras")
    return rows, [weights.tobytes() for weights in model.get_weights()], chosen


@contextlib.contextmanager
def ending(owner, name, *, call, after=False, error=Killed):
    """Raises an error before or after one call of a function."""
    real, calls = getattr(owner, name), []

    def wrapped(*args, **options):
        calls.append(None)
        if len(calls) == call and not after:
            raise error
        result = real(*args, **options)
        if len(calls) == call:
            raise error
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, wrapped)
        yield


def names(config):
    return {path.name for path in config.folder.iterdir()}
