"""A run's progress, to a checkpoint and back."""

import json
import time

import keras
import numpy as np
import pytest

from normtest_tf.runs import RULES, state
from normtest_tf.training.recipe import Recipe, compile_for_training

ACCURACIES = [0.5, 0.7, 0.7, 0.6]


def model_with(value):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.set_weights([np.full((1, 1), value), np.zeros(1)])
    compile_for_training(model, Recipe(epochs=4, batch_size=1), 1)
    return model


def rows():
    return [
        {"epoch": number, "test_accuracy": accuracy}
        for number, accuracy in enumerate(ACCURACIES, start=1)
    ]


@pytest.mark.parametrize(("rule", "epoch"), [("final", 4), ("best_test", 2)])
def test_the_weights_of_the_first_best_epoch_are_kept(rule, epoch):
    kept = state.KeptWeights(RULES[rule])
    for row in rows():
        kept.consider(row, model_with(row["epoch"]))
    assert kept.epoch == epoch
    # The model itself has those of the final epoch.
    values = [weights.ravel()[0] for weights in kept.weights[:1]]
    assert values == ([] if rule == "final" else [epoch])


def test_time_adds_up_over_processes_and_memory_does_not():
    earlier = state.Spent(seconds=100.0, peak_memory_mib=1e9)
    now = earlier.since(time.perf_counter() - 5)
    assert now.seconds == pytest.approx(105, abs=1)
    assert now.peak_memory_mib == 1e9
    assert state.Spent().since(time.perf_counter()).peak_memory_mib > 0


def test_a_state_survives_a_checkpoint_and_counts_the_resumption():
    rule = RULES["best_test"]
    before = state.RunState(state.KeptWeights(rule), resumed_epochs=[1])
    model = model_with(3.0)
    for row in rows():
        before.rows.append(row)
        before.kept.consider(row, model)
    spent = state.Spent(5.0, 7.0)
    checkpoint = before.to_checkpoint(model, spent, {"identity": {"a": 1}})
    assert checkpoint.epoch == 4
    assert checkpoint.meta == {
        "identity": {"a": 1},
        "rows": rows(),
        "kept": {"epoch": 2, "best": 0.7},
        "spent": {"seconds": 5.0, "peak_memory_mib": 7.0},
        "resumed_epochs": [1],
    }
    assert json.loads(json.dumps(checkpoint.meta)) == checkpoint.meta
    assert {name.partition("/")[0] for name in checkpoint.tensors} == {
        "model",
        "optimizer",
        "kept",
    }
    after = state.RunState.from_checkpoint(checkpoint, rule)
    assert after.rows == before.rows
    assert after.spent == spent
    assert after.resumed_epochs == [1, 4]
    assert after.kept.to_json() == before.kept.to_json()
    assert [w.tolist() for w in after.kept.weights] == [[[3.0]], [0.0]]
    assert after.training.epoch == 4
    other = model_with(9.0)
    after.training.restore(other)
    assert [w.tolist() for w in other.get_weights()] == [[[3.0]], [0.0]]
