"""Temperatures and class sets: found where they are known, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from torchgeo_cloudseg.models import Calibration, CloudSegLite, Network

CLASSES = 5


def pixels(count: int, seed: int, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """Logits and classes that are drawn with their probabilities; then logits times a factor."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, CLASSES, generator=g) * 1.2
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=g)[:, 0]
    return logits * factor, labels


def test_finds_by_how_much_each_bin_is_too_sure() -> None:
    parts = [pixels(20_000, number, factor) for number, factor in enumerate((3.0, 0.5))]
    logits, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    opacity = torch.tensor([0.05, 0.5]).repeat_interleave(20_000)
    found = Calibration.fit(logits, labels, opacity, edges=(0.5,))
    assert found.temperatures == pytest.approx((3.0, 0.5), rel=0.05)
    whole = Calibration.fit(logits, labels)
    assert len(whole.temperatures) == 1
    assert 0.5 < whole.temperatures[0] < 3
    # a bin of a few pixels is not fitted to by heart
    rare = torch.where(torch.arange(40_000) < 900, 0.95, 0.0)
    assert Calibration.fit(logits, labels, rare, edges=(0.9,)).temperatures[1] == pytest.approx(
        whole.temperatures[0], rel=1e-6
    )


@pytest.mark.parametrize('coverage', [0.8, 0.9, 0.95])
def test_sets_hold_the_class_as_often_as_they_say(coverage: float) -> None:
    fitted = Calibration.fit(*pixels(20_000, 0, 2.0), coverage=coverage)
    logits, labels = pixels(20_000, 1, 2.0)
    image = logits.T[None, :, :, None]
    sets = fitted.sets(fitted.probabilities(image))
    held = sets.gather(1, labels[None, None, :, None]).float().mean()
    # both draws are of a binomial distribution: four times its width
    assert abs(float(held) - coverage) < 4 * (2 * coverage * (1 - coverage) / 20_000) ** 0.5
    assert sets.gather(1, image.argmax(dim=1, keepdim=True)).all()
    assert 1 < sets.sum(dim=1).float().mean() < CLASSES
    # the most probable classes, not any
    probabilities = fitted.probabilities(image)
    least_in = probabilities.masked_fill(~sets, 1).amin(dim=1)
    assert (probabilities.masked_fill(sets, 0).amax(dim=1) <= least_in).all()


def test_too_few_pixels_promise_nothing() -> None:
    few = Calibration.fit(*pixels(5, 0))
    assert few.sets(few.probabilities(torch.randn(CLASSES, 2, 2))).all()
    with pytest.raises(ValueError, match='no labeled pixel'):
        Calibration.fit(*pixels(0, 0))


def test_uncalibrated_is_the_softmax_to_the_last_bit() -> None:
    logits = torch.randn(2, CLASSES, 7, 9)
    assert torch.equal(Calibration().probabilities(logits), logits.softmax(dim=1))


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        ({'temperatures': (1, 1)}, 'expected 1 positive'),
        ({'temperatures': (0,)}, 'expected 1 positive'),
        ({'temperatures': (1, 1), 'edges': (1.5,)}, 'edges'),
        ({'temperatures': (1, 1, 1), 'edges': (0.5, 0.2)}, 'edges'),
        ({'thresholds': (1, 1)}, 'thresholds'),
        ({'coverage': 90}, 'coverage=90'),
    ],
)
def test_refuses_what_makes_no_sense(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Calibration(**wrong)


def test_travels_with_the_network(tmp_path: Path) -> None:
    net = CloudSegLite(num_classes=2)
    net.calibration = Calibration((2.0, 1.5), (0.3, 0.2), 0.8, (0.25,))
    net.save_pretrained(tmp_path)
    assert Network.from_pretrained(tmp_path).calibration == net.calibration
