"""Counter-based random numbers: a number depends on its seed and its index, on nothing else.

They are the same in every process and in every order of evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable
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

#: First of the streams that belong to the parameters of a sky, to the lattices of its field and to
#: the colors of its clouds.
PARAMETER_STREAM, LATTICE_STREAM, COLOR_STREAM = 0, 16, 128

#: Keys are made in blocks of so many, which takes hardly longer than to make a few.
KEYS = 256


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


def streams(seed: int, first: int, count: int) -> npt.NDArray[np.uint64]:
    """Independent keys of consecutive streams.

    Args:
        seed: any integer.
        first: number of the first stream.
        count: how many.

    Returns:
        keys (count,), read-only.
    """
    block, start = divmod(first, KEYS)
    end = start + count
    if end <= KEYS:
        return _keys(seed, block)[start:end]
    blocks = range(block, block + -(-end // KEYS))
    return np.concatenate([_keys(seed, number) for number in blocks])[start:end]


@lru_cache(maxsize=256)  # a draw of clouds asks for several streams of the same seed
def _keys(seed: int, block: int) -> npt.NDArray[np.uint64]:
    keys = splitmix(_names(block) ^ np.uint64(seed % WORD))
    keys.flags.writeable = False
    return keys


@lru_cache(maxsize=16)
def _names(block: int) -> npt.NDArray[np.uint64]:
    """Numbers of the streams of a block, hashed: seeds may be consecutive numbers as well."""
    return splitmix(np.arange(block * KEYS, (block + 1) * KEYS, dtype=np.uint64))


def uniforms(seed: int, first: int, count: int) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1).

    Args:
        seed: any integer.
        first: number of the first stream.
        count: how many.

    Returns:
        array (count,).
    """
    return (streams(seed, first, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


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
