"""What TensorFlow draws from a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Philox, a random generator made of a cipher's rounds (Salmon et al., 2011): the two
# multipliers, what each round adds to the key, and the number of rounds.
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WORD = 2**32
# TensorFlow's, for making a key of a seed.
_FIRST_KEY = (0x3EC8F720, 0x02461E29)


def uniform(shape: Sequence[int], bound: float, seed: int) -> np.ndarray:
    """Draws what `keras.initializers.RandomUniform` draws with TensorFlow, bit by bit.

    The other backends have generators of their own.

    Args:
        shape: The array's shape.
        bound: The values are from -bound to bound.
        seed: The initializer's, not negative.

    Returns:
        float32.

    Example:
        ```python
        weights = uniform((512, 10), 0.04, seed=223)
        ```
    """
    size = int(np.prod(shape))
    first = [np.array([word], np.uint64) for word in (seed % (2**31 - 2), 0, 0, 0)]
    *key, low, high = (int(word[0]) for word in _philox(first, _FIRST_KEY))
    place = np.arange(-(-size // 4), dtype=np.uint64)
    counters = [place, 0 * place, np.full_like(place, low), np.full_like(place, high)]
    words = np.stack(_philox(counters, key), axis=1).ravel()[:size].astype(np.uint32)
    # The bits of numbers from 1 to 2 that have the words' last bits as fractions.
    bits = words & np.uint32(0x7FFFFF) | np.uint32(0x3F800000)
    fractions = bits.view(np.float32) - np.float32(1)
    least, most = np.float32(-bound), np.float32(bound)
    return (fractions * (most - least) + least).reshape(shape)


def _philox(counters: Sequence[np.ndarray], key: Sequence[int]) -> list[np.ndarray]:
    """Enciphers counters, four arrays of 32-bit words in uint64, into random words."""
    a, b, c, d = counters
    for turn in range(_ROUNDS):
        keys = [
            np.uint64((one + turn * step) % _WORD)
            for one, step in zip(key, _KEY_STEPS, strict=True)
        ]
        first, second = np.uint64(_MULTIPLIERS[0]) * a, np.uint64(_MULTIPLIERS[1]) * c
        (high0, low0), (high1, low1) = (
            (product >> np.uint64(32), product % np.uint64(_WORD))
            for product in (first, second)
        )
        a, b, c, d = high1 ^ b ^ keys[0], low1, high0 ^ d ^ keys[1], low0
    return [a, b, c, d]
