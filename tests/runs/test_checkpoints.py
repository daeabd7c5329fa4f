"""Checkpoints: a run's progress, complete and unchanged or not used."""

import dataclasses
import hashlib
import json
import time

import keras
import numpy as np
import pytest

from normtest_tf.runs import RULES, checkpoints
from normtest_tf.training.recipe import Recipe, compile_for_training

RNG = np.random.default_rng(0)


def checkpoint(epoch=3):
    tensors = {
        "model/00000": RNG.normal(size=(3, 4)).astype("float32"),
        "model/00001": np.array([np.nan, -0.0, np.inf], "float32"),
        "optimizer/00000": np.array(7, "int64"),
        "empty": np.zeros((0, 2), "float16"),
    }
    meta = {"rows": [{"epoch": 1, "train_loss": 0.1 + 0.2}], "kept": None}
    return checkpoints.Checkpoint(epoch, meta, tensors)


def test_a_checkpoint_is_read_back_bit_by_bit(tmp_path):
    written = checkpoint()
    checkpoints.Store(tmp_path).write(written)
    read, problems = checkpoints.Store(tmp_path).read_latest()
    assert problems == []
    assert (read.epoch, read.meta) == (written.epoch, written.meta)
    assert read.tensors.keys() == written.tensors.keys()
    for name, array in written.tensors.items():
        other = read.tensors[name]
        assert (array.dtype, array.shape) == (other.dtype, other.shape)
        assert array.tobytes() == other.tobytes()


def test_whatever_is_damaged_is_refused(tmp_path):
    data = checkpoints.encode(checkpoint())
    cut = [data[:length] for length in range(len(data))]
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        cut.append(bytes(changed))
    for damaged in (*cut, data + b"\0"):
        with pytest.raises(ValueError, match="corrupt or incomplete"):
            checkpoints.decode(damaged)
    store = checkpoints.Store(tmp_path)
    for content in (b"", b"no safetensors", b"\xff" * 100):  # It never was one.
        whole = checkpoints.MAGIC + hashlib.sha256(content).digest() + content
        (tmp_path / checkpoints.file_name(1)).write_bytes(whole)
        nothing, (problem,) = store.read_latest()
        assert nothing is None
        assert problem.startswith("skipped the checkpoint")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_last_two_checkpoints_are_kept(tmp_path):
    store = checkpoints.Store(tmp_path / "checkpoints")
    for epoch in (1, 2, 9, 10):
        store.write(checkpoint(epoch))
    assert names(tmp_path / "checkpoints") == ["epoch-00009.ckpt", "epoch-00010.ckpt"]
    store.remove()
    assert names(tmp_path) == []
    assert store.read_latest() == (None, [])


def cut_in_half(folder, epoch):
    path = folder / checkpoints.file_name(epoch)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_the_checkpoint_before_a_corrupt_one_is_used_and_kept(tmp_path):
    store = checkpoints.Store(tmp_path)
    store.write(checkpoint(3))
    store.write(checkpoint(4))
    cut_in_half(tmp_path, 4)
    again = checkpoints.Store(tmp_path)
    read, (problem,) = again.read_latest()
    assert read.epoch == 3
    assert "epoch-00004.ckpt: its content is corrupt" in problem
    again.write(checkpoint(5))
    assert names(tmp_path) == ["epoch-00003.ckpt", "epoch-00005.ckpt"]
    cut_in_half(tmp_path, 5)
    cut_in_half(tmp_path, 3)
    nothing, problems = checkpoints.Store(tmp_path).read_latest()
    assert nothing is None
    assert len(problems) == 2


def test_a_failed_write_keeps_the_existing_checkpoints(tmp_path):
    store = checkpoints.Store(tmp_path)
    store.write(checkpoint(1))
    store.write(checkpoint(2))
    no_json = dataclasses.replace(checkpoint(3), meta={"loss": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        store.write(no_json)
    assert names(tmp_path) == ["epoch-00001.ckpt", "epoch-00002.ckpt"]


def model_with(value):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.set_weights([np.full((1, 1), value), np.zeros(1)])
    compile_for_training(model, Recipe(epochs=4, batch_size=1), 1)
    return model


ROWS = [
    {"epoch": number, "test_accuracy": accuracy}
    for number, accuracy in enumerate([0.5, 0.7, 0.7, 0.6], start=1)
]


@pytest.mark.parametrize(("rule", "epoch"), [("final", 4), ("best_test", 2)])
def test_the_weights_of_the_first_best_epoch_are_kept(rule, epoch):
    kept = checkpoints.KeptWeights(RULES[rule].maximises)
    for row in ROWS:
        kept.consider(row, model_with(row["epoch"]))
    assert kept.epoch == epoch
    # The model itself has those of the final epoch.
    values = [weights.ravel()[0] for weights in kept.weights[:1]]
    assert values == ([] if rule == "final" else [epoch])


def test_time_adds_up_over_processes_and_memory_does_not():
    now = checkpoints.Spent(100.0, 1e9).since(time.perf_counter() - 5)
    assert now.seconds == pytest.approx(105, abs=1)
    assert now.peak_memory_mib == 1e9
    assert checkpoints.Spent().since(time.perf_counter()).peak_memory_mib > 0


def test_a_state_survives_a_checkpoint_and_counts_the_resumption():
    rule = RULES["best_test"]
    before = checkpoints.RunState(
        checkpoints.KeptWeights(rule.maximises), resumed_epochs=[1]
    )
    model = model_with(3.0)
    for row in ROWS:
        before.rows.append(row)
        before.kept.consider(row, model)
    spent = checkpoints.Spent(5.0, 7.0)
    stored = before.to_checkpoint(model, spent, {"identity": {"a": 1}})
    assert stored.epoch == 4
    assert stored.meta == {  # Version 0.2.0 writes and reads the same.
        "identity": {"a": 1},
        "rows": ROWS,
        "kept": {"epoch": 2, "best": 0.7},
        "spent": {"seconds": 5.0, "peak_memory_mib": 7.0},
        "resumed_epochs": [1],
    }
    assert json.loads(json.dumps(stored.meta)) == stored.meta
    kinds = {name.partition("/")[0] for name in stored.tensors}
    assert kinds == {"model", "optimizer", "kept"}
    after = checkpoints.RunState.from_checkpoint(stored, rule)
    assert (after.rows, after.spent, after.resumed_epochs) == (ROWS, spent, [1, 4])
    assert (after.kept.epoch, after.kept.best) == (2, 0.7)
    assert [w.tolist() for w in after.kept.weights] == [[[3.0]], [0.0]]
    other = model_with(9.0)
    after.training.restore(other)
    assert [w.tolist() for w in other.get_weights()] == [[[3.0]], [0.0]]
