import math

import keras
import numpy as np
import pytest

from normtest_tf import backbones, errors, training
from normtest_tf.normalization import IMAGENET, MINMAX
from normtest_tf.training import classifier, pipeline, pytorch_semantics

RNG = np.random.default_rng(0)
SPLIT = training.Split(
    RNG.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8), np.arange(20) % 4
)


def linear_model():
    return keras.Sequential(
        [
            keras.Input((32, 32, 3), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
        ]
    )


def test_epoch_cosine_equals_the_formula_and_ends_near_0():
    schedule = training.EpochCosine(1e-3, steps_per_epoch=3, epochs=50)
    for step in range(150):
        epoch = step // 3
        expected = 1e-3 / 2 * (1 + math.cos(math.pi * epoch / 50))
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-4)
        assert schedule.at_epoch(epoch) == pytest.approx(expected)
    again = training.EpochCosine.from_config(schedule.get_config())
    assert again.at_epoch(7) == schedule.at_epoch(7)


def test_fit_uses_the_rate_of_each_epoch_and_reports_it():
    model = linear_model()
    rates, rows = [], []

    class Spy(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    training.fit(
        model,
        training.Recipe(epochs=2, batch_size=8, learning_rate=0.1),
        SPLIT,
        {"test": SPLIT, "validation": SPLIT},
        data_seed=1,
        on_row=rows.append,
        callbacks=[Spy()],
    )
    assert rates == pytest.approx([0.1] * 3 + [0.05] * 3)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.1, 0.05])
    assert list(rows[0]) == [
        "epoch",
        "learning_rate",
        "train_loss",
        "train_accuracy",
        "test_loss",
        "test_accuracy",
        "validation_loss",
        "validation_accuracy",
        "seconds",
        "images_per_second",
    ]


def test_evaluate_counts_every_example_once():
    model = linear_model()
    training.compile_for_training(model, training.Recipe(batch_size=8), 20)
    batches = pipeline.evaluation_batches(SPLIT.images, SPLIT.labels, 8)
    loss, accuracy = training.evaluate(model, batches, 20)
    logits = model.predict(SPLIT.images, verbose=0).astype("float64")
    log_sums = np.log(np.exp(logits).sum(axis=1))
    losses = log_sums - logits[np.arange(20), SPLIT.labels]
    assert loss == pytest.approx(losses.mean(), rel=1e-5)
    assert accuracy == (logits.argmax(1) == SPLIT.labels).mean()


def test_settings_of_a_seed_see_the_same_batches_and_start_from_the_same_head(
    monkeypatch,
):
    seen, heads = [], []
    make_batches = pipeline.training_batches

    def watched_batches(*args, **options):
        batches = list(make_batches(*args, **options).as_numpy_iterator())
        seen.append(batches)
        return make_batches(*args, **options)

    monkeypatch.setattr(pipeline, "training_batches", watched_batches)
    for statistics in (IMAGENET, MINMAX):
        model, _ = classifier.build_classifier(
            backbones.resolve("cifar_resnet8", "none"),
            statistics,
            image_shape=(32, 32, 3),
            num_classes=4,
            seed=3,
        )
        heads.append(model.get_layer("head").get_weights())
        training.fit(
            model,
            training.Recipe(epochs=2, batch_size=8),
            SPLIT,
            {},
            data_seed=9,
            on_row=lambda row: None,
        )
    assert [len(labels) for _, labels in seen[0]] == [8, 8, 4] * 2
    for (x, y), (other_x, other_y) in zip(*seen, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)
    for one, other in zip(*heads, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_layer_is_trained_and_equal_runs_are_equal():
    def run():
        model, _ = classifier.build_classifier(
            backbones.resolve("cifar_resnet8", "none"),
            IMAGENET,
            image_shape=(32, 32, 3),
            num_classes=4,
            seed=3,
        )
        before = model.get_weights()
        model = pytorch_semantics.with_pytorch_batch_norm(model)
        training.fit(
            model,
            training.Recipe(epochs=1, batch_size=8),
            SPLIT,
            {},
            data_seed=9,
            on_row=lambda row: None,
        )
        return before, model.get_weights()

    (before, after), (_, again) = run(), run()
    for old, new in zip(before, after, strict=True):
        assert not np.array_equal(old, new)
    for one, other in zip(after, again, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_training_in_two_parts_equals_training_at_once(policy):
    def model():
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(policy)
        try:
            layers = [
                keras.Input((32, 32, 3), dtype="uint8"),
                keras.layers.Rescaling(1 / 255),
                keras.layers.Conv2D(3, 5, strides=4),
                pytorch_semantics.BatchNormalization(),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dropout(0.5, seed=1),
                keras.layers.Dense(4, dtype="float32"),
            ]
            return keras.Sequential(layers)
        finally:
            keras.config.set_dtype_policy("float32")

    def fit(model, on_row, state=None):
        recipe = training.Recipe(epochs=3, batch_size=8)
        evaluations = {"test": SPLIT}
        options = {"data_seed": 1, "on_row": on_row, "state": state}
        training.fit(model, recipe, SPLIT, evaluations, **options)
        return training.State.of(model, 3)

    states, rows = {}, []
    whole = model()

    def remember(row):
        rows.append(row)
        states[row["epoch"]] = training.State.of(whole, row["epoch"])

    at_once = fit(whole, remember)
    assert fit(model(), rows.append, states[3]).model[0].tolist() == (
        at_once.model[0].tolist()
    )
    assert len(rows) == 3  # Nothing was left to do.
    in_parts = fit(model(), rows.append, states[1])
    assert [row["epoch"] for row in rows] == [1, 2, 3, 2, 3]
    for name in ("learning_rate", "train_loss", "test_loss"):
        assert [row[name] for row in rows[1:3]] == [row[name] for row in rows[3:]]
    for one, other in (
        (at_once.model, in_parts.model),
        (at_once.optimizer, in_parts.optimizer),
    ):
        assert [x.tobytes() for x in one] == [x.tobytes() for x in other]


@pytest.mark.parametrize(
    "values", [{"epochs": 0}, {"batch_size": -1}, {"learning_rate": math.nan}]
)
def test_recipes_that_make_no_sense(values):
    with pytest.raises(errors.UsageError, match=f"--{next(iter(values))}"):
        training.Recipe(**values)
