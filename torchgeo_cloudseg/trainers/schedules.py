"""Learning-rate schedules as factors of the initial rate."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

Schedule = Literal['step', 'cosine', 'constant']


def step_factor(epoch: float, start: int = 5, size: int = 5, gamma: float = 0.5) -> float:
    """The authors' schedule: a StepLR that starts to count at a later epoch.

    With the defaults the rate is halved at epochs 10, 15, 20 and so on.

    Args:
        epoch: epochs that are over.
        start: epoch at which it begins to count.
        size: epochs between the steps.
        gamma: factor of each step.

    Returns:
        the factor, 0 to 1.
    """
    return float(gamma ** (max(0, math.floor(epoch) - start) // size))


def lr_factor(
    step: int, schedule: Schedule, steps: float, steps_per_epoch: float, warmup_steps: int = 0
) -> float:
    """Learning rate of an optimizer step, relative to the initial one.

    Args:
        step: optimizer steps that are over.
        schedule: 'step' (see :func:`step_factor`), 'cosine' (half a cosine from 1 to 0 over
            *steps*) or 'constant'.
        steps: steps of the whole training; only used by 'cosine'.
        steps_per_epoch: steps of an epoch; only used by 'step'.
        warmup_steps: steps in which the rate rises linearly to that of the schedule.

    Returns:
        the factor, 0 to 1.
    """
    factor = 1.0
    if schedule == 'step':
        factor = step_factor(step / steps_per_epoch)
    elif schedule == 'cosine':
        factor = 0.5 * (1 + math.cos(math.pi * min(step / steps, 1)))
    if step < warmup_steps:
        factor *= (step + 1) / (warmup_steps + 1)
    return factor


def by_steps(schedule: Schedule, warmup_epochs: float) -> bool:
    """Whether the rate changes from step to step, or with the epochs only.

    Args:
        schedule: the schedule.
        warmup_epochs: epochs in which the rate rises.

    Returns:
        True for steps.
    """
    return schedule == 'cosine' or warmup_epochs > 0


def schedule_of(
    trainer: Trainer, schedule: Schedule, warmup_epochs: float
) -> Callable[[int], float]:
    """The factor of the learning rate in a training.

    Args:
        trainer: the trainer; it has begun, and knows how long an epoch and the training are.
        schedule: 'step', 'cosine' or 'constant'.
        warmup_epochs: epochs in which the rate rises linearly.

    Returns:
        a function of the optimizer steps that are over, or of the epochs (see :func:`by_steps`).

    Raises:
        MisconfigurationException: if the schedule needs an end that the training does not have.
    """
    if not by_steps(schedule, warmup_epochs):
        return step_factor if schedule == 'step' else lambda _: 1.0
    steps = trainer.estimated_stepping_batches
    if schedule == 'cosine' and not 0 < steps < math.inf:
        raise MisconfigurationException(
            "schedule='cosine' falls to 0 at the end of a training, and this one has no end that "
            'is known beforehand. Give the trainer max_epochs or max_steps, or the task another '
            'schedule.'
        )
    steps_per_epoch = trainer.num_training_batches / trainer.accumulate_grad_batches
    if warmup_epochs and math.isinf(steps_per_epoch):
        raise MisconfigurationException(
            f'warmup_epochs={warmup_epochs}: the data do not say how long an epoch is. Give the '
            'trainer limit_train_batches, or leave the warm-up out.'
        )
    steps_per_epoch = math.ceil(steps_per_epoch) if math.isfinite(steps_per_epoch) else steps
    return partial(
        lr_factor,
        schedule=schedule,
        steps=steps,
        steps_per_epoch=max(1, steps_per_epoch),
        warmup_steps=round(warmup_epochs * steps_per_epoch),
    )


class ScheduledLR(LambdaLR):
    """Learning rates by a schedule that is known once the training has begun.

    How long it is depends on the data, and to ask for those any earlier would make Lightning forget
    where in the epoch a resumed training is. The rates depend on nothing but the arguments of the
    run and the step: a checkpoint brings the step alone.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        """Initialize a new ScheduledLR instance.

        Args:
            optimizer: the optimizer, with the initial rates.
        """
        super().__init__(optimizer, lambda _: 1.0)

    def begin(self, factor: Callable[[int], float]) -> None:
        """Set the schedule, and the rates of the present step.

        Args:
            factor: what :func:`schedule_of` gives.
        """
        self.lr_lambdas = [factor] * len(self.base_lrs)
        # groups that callbacks added have rates of their own
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=False):
            group['initial_lr'], group['lr'] = base, base * factor(self.last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """The next rates; groups that callbacks added keep theirs."""
        rates = super().get_lr()
        added = self.optimizer.param_groups[len(rates) :]
        return [*rates, *(group['lr'] for group in added)]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a step.

        Args:
            state_dict: what a LambdaLR saved.
        """
        self.last_epoch = state_dict['last_epoch']
