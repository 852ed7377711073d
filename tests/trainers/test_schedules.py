"""Learning rates over the epochs."""

import pytest

from torchgeo_cloudseg.trainers.schedules import lr_factor


def test_step_is_the_authors() -> None:
    factors = [lr_factor(epoch, 'step', 30) for epoch in range(30)]
    assert factors[:10] == [1] * 10
    assert factors[10:15] == [0.5] * 5
    assert factors[25:] == [1 / 16] * 5


def test_cosine_falls_from_one_to_nothing() -> None:
    factors = [lr_factor(epoch, 'cosine', 10) for epoch in range(11)]
    assert factors[0] == 1
    assert factors[5] == pytest.approx(0.5)
    assert factors[10] == pytest.approx(0)
    assert factors == sorted(factors, reverse=True)


def test_constant() -> None:
    assert {lr_factor(epoch, 'constant', 10) for epoch in range(20)} == {1.0}


@pytest.mark.parametrize('schedule', ['step', 'cosine', 'constant'])
def test_warm_up_rises_to_the_schedule(schedule: str) -> None:
    plain = [lr_factor(epoch, schedule, 20) for epoch in range(20)]
    warm = [lr_factor(epoch, schedule, 20, warmup_epochs=3) for epoch in range(20)]
    assert warm[3:] == plain[3:]
    assert [w / p for w, p in zip(warm[:3], plain[:3], strict=True)] == pytest.approx(
        [0.25, 0.5, 0.75]
    )
