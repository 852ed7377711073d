"""Calibration error by region, against torchmetrics', and coverage of sets."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchmetrics.classification import MulticlassCalibrationError

from torchgeo_cloudseg.metrics import CalibrationMetrics
from torchgeo_cloudseg.metrics.calibration import calibration_table
from torchgeo_cloudseg.metrics.regions import clouds_on_grid

CLASSES = 3


def scenes() -> dict[str, Tensor]:
    """Six scenes: probabilities, labels of which some are ignored, clouds, opacity, sets."""
    g = torch.Generator().manual_seed(0)
    probabilities = (torch.randn(6, CLASSES, 9, 9, generator=g) * 2).softmax(dim=1)
    target = torch.randint(CLASSES, (6, 9, 9), generator=g)
    target[0, :3] = 255
    return {
        'probabilities': probabilities,
        'target': target,
        'cloud_mask': torch.randint(2, (6, 30, 30), generator=g),
        'opacity': torch.rand(6, 1, 9, 9, generator=g),
        'sets': probabilities > 0.3,
        'scene': torch.arange(6)[:, None],
    }


def counted(batch_size: int) -> CalibrationMetrics:
    metrics, whole = CalibrationMetrics(CLASSES, edges=(0.5,)), scenes()
    for start in range(0, 6, batch_size):
        metrics.update(**{k: v[start : start + batch_size] for k, v in whole.items()})
    return metrics


def test_error_is_that_of_torchmetrics_in_every_region_and_bin() -> None:
    metrics, whole = counted(6), scenes()
    scores = metrics.compute()
    cloudy = clouds_on_grid(whole['cloud_mask'], (9, 9))
    opaque = whole['opacity'][:, 0] >= 0.5
    everywhere = torch.ones_like(cloudy)
    rows = {row['pixels of']: row for row in calibration_table(metrics.totals(), (0.5,))}
    regions = {'all': everywhere, 'clear': ~cloudy, 'cloudy': cloudy}
    bins = {'opacity 0 to 0.5': ~opaque, 'opacity 0.5 to 1': opaque}
    for name, region in {**regions, **bins}.items():
        target = whole['target'].where(region, 255)
        other = MulticlassCalibrationError(CLASSES, n_bins=15, ignore_index=255)
        expected = float(other(whole['probabilities'], target))
        assert expected > 0.02
        assert rows[name]['ECE'] == pytest.approx(expected, abs=2e-6)
        there = target != 255
        held = whole['sets'].gather(1, target.where(there, 0)[:, None])[:, 0][there]
        assert rows[name]['coverage'] == pytest.approx(float(held.float().mean()))
        if name in regions:
            assert float(scores[f'{name}_ECE']) == pytest.approx(rows[name]['ECE'])
            assert float(scores[f'{name}_set_size']) == pytest.approx(rows[name]['set_size'])


def test_batches_do_not_matter_and_memory_does_not_grow() -> None:
    one, many = counted(6), counted(1)
    assert torch.equal(one.totals(), many.totals())
    size = many.sums.numel()
    many.update(**scenes())
    assert many.sums.numel() == size


def test_interval_is_over_scenes() -> None:
    def table(spread: float) -> dict[str, float]:
        metrics = CalibrationMetrics(2)
        right = torch.tensor([0.7 - spread, 0.7, 0.7 + spread] * 10)
        target = (torch.arange(1000) / 1000 >= right[:, None]).long()[:, :, None]
        probabilities = torch.tensor([0.7, 0.3])[None, :, None, None].expand(30, 2, 1000, 1)
        clear = torch.zeros(30, 1000, 1)
        metrics.update(probabilities, target, clear, scene=torch.arange(30))
        return calibration_table(metrics.totals(), ())[0]

    alike, apart = table(0.0), table(0.2)
    assert alike['ECE_high'] - alike['ECE_low'] < 1e-6
    # the mean of 30 scenes with a standard deviation of 0.163
    assert apart['ECE_high'] == pytest.approx(2.24 * 0.163 / 30**0.5, rel=0.3)
    assert 'coverage' not in apart
    # nothing is said of what there is none of
    assert calibration_table(CalibrationMetrics(2).totals(), ()) == []
