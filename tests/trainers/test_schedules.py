"""Learning rates over the steps of a training."""

from __future__ import annotations

from typing import Any

import pytest
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer

from torchgeo_cloudseg.trainers import CloudSegTeacherTask
from torchgeo_cloudseg.trainers.schedules import lr_factor, step_factor


def test_step_is_the_authors() -> None:
    factors = [step_factor(epoch) for epoch in range(30)]
    assert factors[:10] == [1] * 10
    assert factors[10:15] == [0.5] * 5
    assert factors[25:] == [1 / 16] * 5


def test_cosine_falls_from_one_to_nothing() -> None:
    factors = [lr_factor(step, 'cosine', 10, 5) for step in range(12)]
    assert factors[0] == 1
    assert factors[5] == pytest.approx(0.5)
    assert factors[10:] == pytest.approx([0, 0])
    assert factors == sorted(factors, reverse=True)


def test_constant() -> None:
    assert {lr_factor(step, 'constant', 10, 5) for step in range(20)} == {1.0}


@pytest.mark.parametrize('schedule', ['step', 'cosine', 'constant'])
def test_warm_up_rises_to_the_schedule(schedule: Any) -> None:
    plain = [lr_factor(step, schedule, 20, 1) for step in range(20)]
    warm = [lr_factor(step, schedule, 20, 1, warmup_steps=3) for step in range(20)]
    assert warm[3:] == plain[3:]
    assert [w / p for w, p in zip(warm[:3], plain[:3], strict=True)] == pytest.approx(
        [0.25, 0.5, 0.75]
    )


class Rates(Callback):
    """Learning rate of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        self.values.append(trainer.optimizers[0].param_groups[0]['lr'])


#: Of four steps an epoch.
TINY: dict[str, Any] = {'data': {'patch_size': 40, 'length': 8}, 'limit_val_batches': 0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ('limits', 'schedule', 'warmup', 'expected'),
    [
        ({'max_epochs': -1, 'max_steps': 4}, 'cosine', 0, [1, 0.853553, 0.5, 0.146447]),
        ({'max_epochs': None, 'max_steps': 4}, 'cosine', 0, [1, 0.853553, 0.5, 0.146447]),
        ({'max_epochs': 2, 'limit_train_batches': 2}, 'cosine', 0, [1, 0.853553, 0.5, 0.146447]),
        ({'max_epochs': -1, 'max_steps': 4}, 'constant', 0.75, [0.25, 0.5, 0.75, 1]),
        ({'max_epochs': -1, 'max_steps': 3}, 'step', 0.5, [1 / 3, 2 / 3, 1]),
        ({'max_epochs': None, 'max_steps': 2}, 'step', 0, [1, 1]),
    ],
)
def test_rates_of_a_training(
    fit: Any, limits: dict[str, Any], schedule: Any, warmup: float, expected: list[float]
) -> None:
    rates = Rates()
    task = CloudSegTeacherTask(
        backbone='mit_b0',
        modalities='early',
        lr=1.0,
        schedule=schedule,
        warmup_epochs=warmup,
        image_key='image',
    )
    # a rate of 1 would end in NaN: what counts is the schedule
    task.on_before_optimizer_step = lambda optimizer: optimizer.zero_grad()
    fit(task, callbacks=(rates,), **TINY | limits)
    assert rates.values == pytest.approx(expected, abs=1e-6)


def test_cosine_without_an_end_is_refused(fit: Any) -> None:
    task = CloudSegTeacherTask(backbone='mit_b0', schedule='cosine')
    with pytest.raises(MisconfigurationException, match='has no end'):
        fit(task, max_epochs=None, max_time={'hours': 1}, **TINY)
