"""Learning-rate schedules as factors of the initial rate."""

import math
from typing import Literal

Schedule = Literal['step', 'cosine', 'constant']


def lr_factor(
    epoch: int,
    schedule: Schedule,
    max_epochs: int,
    warmup_epochs: int = 0,
    step_start: int = 5,
    step_size: int = 5,
    gamma: float = 0.5,
) -> float:
    """Learning rate of an epoch, relative to the initial one.

    ``step`` is the authors' schedule: a StepLR with a step of 5 epochs that starts to count at
    epoch 5, so that the rate is halved at epochs 10, 15, 20 and so on.

    Args:
        epoch: epoch, from 0.
        schedule: 'step', 'cosine' (half a cosine from 1 to 0 over *max_epochs*) or 'constant'.
        max_epochs: epochs of the whole training; only used by 'cosine'.
        warmup_epochs: epochs in which the rate rises linearly to that of the schedule.
        step_start: epoch at which 'step' begins to count.
        step_size: epochs between the steps of 'step'.
        gamma: factor of each step of 'step'.

    Returns:
        the factor, 0 to 1.
    """
    factor = 1.0
    if schedule == 'step':
        factor = gamma ** (max(0, epoch - step_start) // step_size)
    elif schedule == 'cosine':
        factor = 0.5 * (1 + math.cos(math.pi * min(epoch, max_epochs) / max(1, max_epochs)))
    if epoch < warmup_epochs:
        factor *= (epoch + 1) / (warmup_epochs + 1)
    return factor
