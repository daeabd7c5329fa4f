"""Checkpoints: complete and unchanged, or not used."""

import dataclasses
import hashlib

import numpy as np
import pytest

from normtest_tf.runs import checkpoints

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


def same(one, other):
    assert (one.epoch, one.meta) == (other.epoch, other.meta)
    assert one.tensors.keys() == other.tensors.keys()
    for name, array in one.tensors.items():
        assert array.dtype == other.tensors[name].dtype
        assert array.shape == other.tensors[name].shape
        assert array.tobytes() == other.tensors[name].tobytes()


def test_a_checkpoint_is_read_back_bit_by_bit(tmp_path):
    written = checkpoint()
    checkpoints.Store(tmp_path).write(written)
    read, problems = checkpoints.Store(tmp_path).read_latest()
    same(read, written)
    assert problems == []


def test_every_truncation_is_refused():
    data = checkpoints.encode(checkpoint())
    for length in range(len(data)):
        with pytest.raises(checkpoints.UnreadableError):
            checkpoints.decode(data[:length])
    with pytest.raises(checkpoints.UnreadableError):
        checkpoints.decode(data + b"\0")


def test_every_changed_bit_is_refused():
    data = checkpoints.encode(checkpoint())
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(checkpoints.UnreadableError):
            checkpoints.decode(bytes(changed))


def test_random_bytes_are_refused():
    data = checkpoints.encode(checkpoint())
    for _ in range(200):
        changed = np.frombuffer(data, np.uint8).copy()
        start = RNG.integers(len(data) - 1)
        part = changed[start : start + RNG.integers(1, 64)]
        part += RNG.integers(1, 256, len(part), dtype=np.uint8)
        with pytest.raises(checkpoints.UnreadableError):
            checkpoints.decode(changed.tobytes())


def test_content_that_was_never_a_checkpoint_is_refused():
    for content in (b"", b"no safetensors", b"\xff" * 100):
        data = checkpoints.MAGIC + hashlib.sha256(content).digest() + content
        with pytest.raises(checkpoints.UnreadableError):
            checkpoints.decode(data)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_last_two_checkpoints_are_kept(tmp_path):
    store = checkpoints.Store(tmp_path)
    for epoch in (1, 2, 9, 10):
        store.write(checkpoint(epoch))
    assert names(tmp_path) == ["epoch-00009.ckpt", "epoch-00010.ckpt"]
    store.remove()
    assert not store.exists()
    assert store.read_latest() == (None, [])


def cut_in_half(folder, epoch):
    path = folder / f"epoch-{epoch:05}.ckpt"
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
