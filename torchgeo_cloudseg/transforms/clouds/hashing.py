"""Counter-based random numbers: a number depends on its seed and its index, on nothing else.

They are the same in every process and in every order of evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

#: Odd constants of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
GOLDEN, FIRST, SECOND = (
    np.uint64(constant) for constant in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)

#: Multipliers of a 32-bit mixer with low bias (C. Wellons, "Prospecting for hash functions").
LOW_BIAS = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)

WORD = 1 << 64


def splitmix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Spread 64-bit integers over all 64-bit integers, one to one (SplitMix64).

    Args:
        values: any integers.

    Returns:
        integers that look random.
    """
    # unsigned arithmetic wraps, as it should
    mixed = values + GOLDEN
    mixed = (mixed ^ (mixed >> SHIFTS[0])) * FIRST
    mixed = (mixed ^ (mixed >> SHIFTS[1])) * SECOND
    return mixed ^ (mixed >> SHIFTS[2])


def combine(numbers: Iterable[int]) -> int:
    """One seed from several integers; their order counts.

    Args:
        numbers: integers of any size and sign.

    Returns:
        an integer in [0, 2^64).
    """
    state = np.zeros(1, np.uint64)
    for number in numbers:
        state = splitmix(state ^ np.uint64(number % WORD))
    return int(state[0])


def streams(seeds: Sequence[int], names: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Independent 64-bit keys for every seed.

    Args:
        seeds: B seeds.
        names: numbers of N streams.

    Returns:
        keys (B, N).
    """
    roots = splitmix(np.array([seed % WORD for seed in seeds], np.uint64))
    return splitmix(roots[:, None] ^ names * SECOND)


def uniforms(seeds: Sequence[int], first: int, count: int) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1).

    Args:
        seeds: B seeds.
        first: number of the first stream.
        count: how many numbers per seed.

    Returns:
        array (B, count).
    """
    keys = streams(seeds, np.arange(first, first + count, dtype=np.uint64))
    return (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53


def mix(keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Spread 32-bit integers over all 32-bit integers, one to one, in place.

    Args:
        keys: any integers; they are overwritten.

    Returns:
        the same array.
    """
    keys ^= keys >> 16
    keys *= LOW_BIAS[0]
    keys ^= keys >> 15
    keys *= LOW_BIAS[1]
    keys ^= keys >> 16
    return keys
