"""What is compared, how closely, and how far apart the two sides may be."""

from __future__ import annotations

import dataclasses
import types
import zlib
from collections.abc import Mapping

import numpy as np

from experiments.support.parity import cases

Arrays = dict[str, np.ndarray]
SMALL = 64  # Golden files store arrays of up to this many values whole.


@dataclasses.dataclass(frozen=True)
class Check:
    """One comparison: a function of `ours` and `theirs` with its arguments."""

    title: str
    function: str
    network: str | None
    options: Mapping[str, object]
    tolerances: dict[str, float]  # By the first part of an array's name.
    in_golden: bool = True  # Quick enough to run with every test run.

    @property
    def name(self) -> str:
        """A name for files and tests."""
        parts = [self.network, self.function, *map(str, self.options.values())]
        return "-".join(part for part in parts if part)

    def run(self, side: types.ModuleType) -> Arrays:
        """Returns one side's numbers."""
        arguments = () if self.network is None else (self.network,)
        return getattr(side, self.function)(*arguments, **self.options)


def _checks() -> list[Check]:
    """Returns all checks."""
    step = {"logits": 1e-10, "loss": 1e-10, "running": 1e-10, "gradient": 1e-9}
    found = [Check("pixels", "pixels", None, {}, {"pixels": 1e-6})]
    for name in cases.NETWORKS:
        for size in cases.SIZES:
            at = f"{size}x{size}"
            options = {"size": size}
            found += [
                Check(f"float64, {at}", "logits", name, options, {"logits": 1e-10}),
                Check(
                    f"float32, {at}",
                    "logits",
                    name,
                    {**options, "dtype": "float32"},
                    {"logits": 1e-5},
                ),
                Check(
                    f"training step, {at}",
                    "training_step",
                    name,
                    options,
                    step,
                    in_golden=size == 32,
                ),
            ]
        found.append(
            Check(
                "20 steps, 32x32",
                "training",
                name,
                {},
                {"losses": 1e-8, "weight": 1e-6},
                in_golden=name == "resnet18",  # The others take minutes.
            )
        )
        found.append(
            Check(
                "exported to timm, 32x32",
                "exported",
                name,
                {},
                {"logits": 1e-10},
                in_golden=False,  # Without PyTorch, there is nothing to load it.
            )
        )
    return found


CHECKS = {check.name: check for check in _checks()}


def errors(ours: Arrays, theirs: Arrays) -> dict[str, float]:
    """Returns the largest error of each group of arrays.

    An error is relative to the largest absolute value of PyTorch's array.
    """
    if ours.keys() != theirs.keys():
        raise ValueError(f"names differ: {sorted(ours.keys() ^ theirs.keys())[:4]}")
    found: dict[str, float] = {}
    for name, expected in theirs.items():
        received = ours[name]
        if received.shape != expected.shape:
            raise ValueError(f"{name}: {received.shape} is not {expected.shape}")
        error = abs(received - expected).max() / abs(expected).max()
        group = name.partition("/")[0]
        # Comparisons with NaN are false, so it would pass as a small error.
        error = float(error) if np.isfinite(error) else float("inf")
        found[group] = max(found.get(group, 0.0), error)
    return found


def digest(arrays: Arrays) -> Arrays:
    """Returns a few numbers per array that change with any of its values.

    A large array becomes its norm and two sums with random signs, so their errors
    stay relative to the size of the whole array.
    """
    return {name: _digest(name, values) for name, values in arrays.items()}


def _digest(name: str, values: np.ndarray) -> np.ndarray:
    """Returns the digest of one array, float64."""
    flat = np.asarray(values, np.float64).ravel()
    if flat.size <= SMALL:
        return flat
    random = np.random.RandomState(zlib.crc32(name.encode()))
    signs = random.randint(0, 2, (2, flat.size)) * 2.0 - 1
    return np.array([np.linalg.norm(flat), *(signs @ flat)])
