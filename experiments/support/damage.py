"""Faults that hit files: bytes of checkpoints and weights that change or get lost."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import random

from experiments.support.fault_campaign import Count
from normtest_tf import errors, text


def mutated(data: bytes, generator: random.Random) -> bytes:
    """Returns other bytes: 30% are cut short, the rest has one to eight changed.

    Args:
        data: The content of a file, at least a byte.
        generator: Decides what changes.
    """
    if generator.random() < 0.3:
        return data[: generator.randrange(len(data))]
    changed = bytearray(data)
    # Half of the changes are near the start, where a file says what it holds.
    end = len(data) if generator.random() < 0.5 else min(len(data), 4096)
    for _ in range(generator.randint(1, 8)):
        changed[generator.randrange(end)] ^= generator.randint(1, 255)
    return bytes(changed) if changed != data else data[:-1]


def damaged_checkpoints(number: int, generator: random.Random) -> Count:
    """Corrupts checkpoints, each of which has to be refused."""
    import numpy as np

    from normtest_tf.runs import checkpoints

    count = Count("checkpoint damaged", tried=number)
    tensors = {"model/00000": np.arange(5000, dtype="float32")}
    data = checkpoints.encode(checkpoints.Checkpoint(1, {"rows": []}, tensors))
    for _ in range(number):
        try:
            checkpoints.decode(mutated(data, generator))
        except checkpoints.UnreadableError:
            count.survived += 1
    return count


def damaged_weights(
    folder: pathlib.Path, number: int, generator: random.Random
) -> Count:
    """Corrupts weights files, which have to be refused in one line, or be harmless.

    Without a checksum in the file, a changed number can't be told from the right one:
    a file is harmless if it still describes the same tensors.

    Args:
        folder: For the files.
        number: How many.
        generator: Decides what changes.
    """
    from normtest_tf import backbones

    count = Count("weights file damaged", tried=number)
    network = backbones.resolve("cifar_resnet8")
    data = network.fetch().read_bytes()
    path = folder / "weights.safetensors"
    from_file = dataclasses.replace(network, tag=None, path=path)
    model = backbones.CifarResNet8(weights=None)
    for _ in range(number):
        damaged = mutated(data, generator)
        path.write_bytes(damaged)
        try:
            from_file.load_weights(model, text.ignore)
        except errors.UsageError as error:
            count.survived += len(str(error).splitlines()) == 1
        except Exception as error:
            message = errors.one_line(error)[:200]
            count.notes.append(f"{type(error).__name__}: {message}")
        else:
            count.survived += _is_harmless(data, damaged)
    return count


def _is_harmless(data: bytes, damaged: bytes) -> bool:
    """Tells whether two safetensors files describe the same tensors."""
    return len(damaged) == len(data) and _tensors(data) == _tensors(damaged)


def _tensors(data: bytes) -> dict[str, object]:
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return header
