"""Randomness that depends on where it is wanted, and on nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

#: What random numbers of one seed are for: each is a stream of its own.
PARAMETER_STREAM, FIELD_STREAM, COLOR_STREAM = range(3)


def step_seed(seed: int, epoch: int, batch_idx: int, rank: int = 0) -> int:
    """Seed of whatever is random in one training step.

    A run that is resumed, at an epoch's end or in the middle, draws what it would have drawn.

    Args:
        seed: seed of the run.
        epoch: epoch, from 0.
        batch_idx: batch of the epoch, from 0.
        rank: position of the process.

    Returns:
        a seed for :func:`torch.manual_seed`, 0 to 2**63 - 1.
    """
    sequence = np.random.SeedSequence((seed % 2**64, epoch, batch_idx, rank))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def combined_seed(numbers: Iterable[int]) -> int:
    """One seed from several integers; their order counts.

    Args:
        numbers: integers of any size and sign.

    Returns:
        an integer in [0, 2^64).
    """
    text = ' '.join(str(int(number)) for number in numbers)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), 'little')


def seeded_generator(seed: int, stream: int) -> np.random.Generator:
    """Random numbers that follow from a seed, on every machine alike.

    Args:
        seed: any integer; those that differ by a multiple of 2^64 are the same.
        stream: what they are for; streams of a seed are independent.

    Returns:
        a generator.
    """
    return np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, stream], np.uint64)))
