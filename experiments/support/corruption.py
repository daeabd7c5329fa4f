"""Faults in files: changed or missing bytes in checkpoints and weights files."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import random

from experiments.support.fault_campaign import Count
from normtest_tf import errors, text


def corrupt(data: bytes, generator: random.Random) -> bytes:
    """Truncates bytes in 30% of cases; otherwise changes one to eight of them.

    Args:
        data: The content of a file, at least one byte.
        generator: Determines what changes.

    Returns:
        Different bytes.
    """
    if generator.random() < 0.3:
        return data[: generator.randrange(len(data))]
    changed = bytearray(data)
    # Half of the changes are near the start, where files describe their content.
    end = len(data) if generator.random() < 0.5 else min(len(data), 4096)
    for _ in range(generator.randint(1, 8)):
        changed[generator.randrange(end)] ^= generator.randint(1, 255)
    return bytes(changed) if changed != data else data[:-1]


def corrupt_checkpoints(number: int, generator: random.Random) -> Count:
    """Corrupts checkpoints, each of which must be refused.

    Args:
        number: How many.
        generator: Determines what changes.
    """
    import numpy as np

    from normtest_tf.runs import checkpoints

    count = Count("checkpoint damaged", tried=number)
    tensors = {"model/00000": np.arange(5000, dtype="float32")}
    data = checkpoints.encode(checkpoints.Checkpoint(1, {"rows": []}, tensors))
    for _ in range(number):
        try:
            checkpoints.decode(corrupt(data, generator))
        except checkpoints.UnreadableError:
            count.survived += 1
    return count


def corrupt_weights_files(
    folder: pathlib.Path, number: int, generator: random.Random
) -> Count:
    """Corrupts weights files, which must be refused in one line, or be harmless.

    The files have no checksum, so a changed number can't be detected: a file is
    harmless if it still describes the same tensors.

    Args:
        folder: Where to write the files.
        number: How many.
        generator: Determines what changes.
    """
    from normtest_tf import backbones

    count = Count("weights file damaged", tried=number)
    network = backbones.resolve("cifar_resnet8")
    data = network.fetch().read_bytes()
    path = folder / "weights.safetensors"
    from_file = dataclasses.replace(network, tag=None, path=path)
    model = backbones.CifarResNet8(weights=None)
    for _ in range(number):
        changed = corrupt(data, generator)
        path.write_bytes(changed)
        try:
            from_file.load_weights(model, text.ignore)
        except errors.UsageError as error:
            count.survived += len(str(error).splitlines()) == 1
        except Exception as error:
            message = errors.one_line(error)[:200]
            count.notes.append(f"{type(error).__name__}: {message}")
        else:
            count.survived += _is_harmless(data, changed)
    return count


def _is_harmless(data: bytes, changed: bytes) -> bool:
    """Tells whether two safetensors files describe the same tensors."""
    return len(changed) == len(data) and _tensors(data) == _tensors(changed)


def _tensors(data: bytes) -> dict[str, object]:
    """Returns the header of a safetensors file, without the metadata."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return header
