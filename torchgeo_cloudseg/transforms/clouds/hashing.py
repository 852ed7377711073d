"""Counter-based random numbers: a number depends on its seed and its index, on nothing else.

They are the same in every process and in every order of evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

#: Odd constants of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
GOLDEN, FIRST, SECOND = (
    np.uint64(constant) for constant in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)

#: An odd multiplier of a 32-bit mixer with low bias (C. Wellons, "Prospecting for hash functions").
LOW_BIAS = np.uint32(0x7FEB352D)

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
    roots = np.array([_root(seed) for seed in seeds], np.uint64)
    return splitmix(roots[:, None] ^ names * SECOND)


@lru_cache(maxsize=1024)  # a draw of clouds asks for several sets of streams of the same seeds
def _root(seed: int) -> int:
    return int(splitmix(np.array([seed % WORD], np.uint64))[0])


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


def mix(products: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    """Independent numbers from products of odd numbers, whose low bits are not random enough.

    Products of random odd numbers, without what overflows, are hashes of which the high bits look
    independent (multiply-shift, Dietzfelbinger et al. 1997, J. Algorithms 25, 19); they are
    spread once more.

    Args:
        products: any integers; they are overwritten.

    Returns:
        whole numbers over the range of int32, an array of the same shape.
    """
    scratch = products >> 16
    products ^= scratch
    products *= LOW_BIAS
    # takes the same room, and is in the cache
    numbers = scratch.view(np.float32)
    numbers[...] = products.view(np.int32)
    return numbers
