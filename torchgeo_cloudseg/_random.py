"""Randomness that depends on where the training stands, and on nothing else."""

from __future__ import annotations

import numpy as np


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
    state = np.random.SeedSequence((seed % 2**64, epoch, batch_idx, rank)).generate_state(
        1, np.uint64
    )
    return int(state[0] >> np.uint64(1))
