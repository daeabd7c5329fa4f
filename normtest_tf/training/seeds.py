"""One seed, split once into a seed for the data and one for the model."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Seeds:
    """The seeds of one run.

    Attributes:
        data: Determines the order of examples and their augmentation; below 2**31.
        model: Determines initial weights; below 2**31.
    """

    data: int
    model: int

    @classmethod
    def split(cls, seed: int) -> Seeds:
        """Derives both from one seed, a non-negative integer.

        Example:
        ```python
        assert Seeds.split(223) == Seeds.split(223)
        ```
        """
        data, model = np.random.SeedSequence(seed).generate_state(2)
        return cls(int(data >> 1), int(model >> 1))
