"""Reconstruction metrics: those of torchmetrics on the pixels of a region, finite always."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.functional import mean_absolute_error
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    spectral_angle_mapper,
    structural_similarity_index_measure,
)

from torchgeo_cloudseg.metrics import ReconstructionMetrics, region_table

SCORES = {'PSNR', 'SSIM', 'MAE', 'SAM'}


def sample(seed: int, batch: int = 3, bands: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Reconstruction and target (B, C, 24, 20) in 0..1, and clouds."""
    g = torch.Generator().manual_seed(seed)
    target = torch.rand(batch, bands, 24, 20, generator=g)
    noise = 0.1 * torch.randn(target.shape, generator=g)
    clouds = torch.rand(batch, 24, 20, generator=g) < 0.4
    # above 0: torchmetrics has no angle for a pixel that is 0 in every band
    return (target + noise).clamp(0.001, 1), target, clouds


def scores(metric: ReconstructionMetrics) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


@given(seed=st.integers(0, 2**31))
def test_scores_are_those_of_torchmetrics(seed: int) -> None:
    preds, target, clouds = sample(seed)
    metric = ReconstructionMetrics()
    metric.update(preds, target, clouds)
    values = scores(metric)
    angles = spectral_angle_mapper(preds, target, reduction='none')
    _, similarity = structural_similarity_index_measure(
        preds, target, data_range=1.0, return_full_image=True
    )
    for region, pixels in {
        'all': torch.ones_like(clouds),
        'clear': ~clouds,
        'cloudy': clouds,
    }.items():
        x, y = preds.movedim(1, -1)[pixels], target.movedim(1, -1)[pixels]
        expected = {
            'PSNR': peak_signal_noise_ratio(x, y, data_range=1.0),
            'MAE': mean_absolute_error(x, y),
            'SAM': angles[pixels].mean(),
            'SSIM': similarity.movedim(1, -1)[pixels].mean(),
        }
        for name, value in expected.items():
            assert values.pop(f'{region}_{name}') == pytest.approx(float(value), rel=1e-5)
    assert not values


def test_similarity_of_all_pixels_is_the_usual_one() -> None:
    preds, target, clouds = sample(0)
    metric = ReconstructionMetrics()
    metric.update(preds, target, clouds)
    usual = structural_similarity_index_measure(preds, target, data_range=1.0)
    assert scores(metric)['all_SSIM'] == pytest.approx(float(usual), rel=1e-5)


@given(seed=st.integers(0, 2**31), cut=st.integers(1, 2))
def test_batches_do_not_matter(seed: int, cut: int) -> None:
    preds, target, clouds = sample(seed)
    whole, parts, merged, other = (ReconstructionMetrics() for _ in range(4))
    whole.update(preds, target, clouds)
    for part, half in ((slice(cut), merged), (slice(cut, None), other)):
        parts(preds[part], target[part], clouds[part])
        half.update(preds[part], target[part], clouds[part])
    merged.merge_state(other)
    assert scores(parts) == pytest.approx(scores(whole), rel=1e-5)
    assert scores(merged) == pytest.approx(scores(whole), rel=1e-5)


@pytest.mark.parametrize(('cover', 'empty'), [(0, 'cloudy'), (1, 'clear')])
def test_a_region_without_pixels_has_no_scores(cover: int, empty: str) -> None:
    preds, target, clouds = sample(0)
    metric = ReconstructionMetrics(prefix='test_')
    metric.update(preds, target, torch.full(clouds.shape, cover))
    values = scores(metric)
    assert all(math.isfinite(value) for value in values.values())
    rows = region_table(values, prefix='test_')
    assert {row['score'] for row in rows} == SCORES
    assert all(row[empty] is None for row in rows)
    assert all(row['all'] is not None for row in rows)


def test_perfect_reconstruction_has_finite_scores() -> None:
    _, target, clouds = sample(0)
    metric = ReconstructionMetrics()
    metric.update(target, target, clouds)
    values = scores(metric)
    assert values['all_PSNR'] == pytest.approx(144.5, abs=0.1)
    assert values['all_SSIM'] == pytest.approx(1)
    assert values['all_MAE'] == 0
    # the resolution of an arc cosine in float32
    assert values['all_SAM'] < 1e-3


def test_errors_stay_in_their_region() -> None:
    _, target, clouds = sample(0)
    preds = torch.where(clouds.unsqueeze(1), float('nan'), target)
    metric = ReconstructionMetrics()
    metric.update(preds, target, clouds)
    values = scores(metric)
    assert values['clear_MAE'] == 0
    assert math.isnan(values['cloudy_MAE'])
    assert math.isnan(values['cloudy_SAM'])


def test_angle_of_empty_spectra() -> None:
    target = torch.full((1, 3, 8, 8), 0.5)
    preds = target.clone()
    clouds = torch.zeros(1, 8, 8)
    target[..., 0] = 0
    preds[..., 1] = 0
    metric = ReconstructionMetrics()
    metric.update(preds, target, clouds)
    # of seven columns with a spectrum, one is predicted to have none
    assert scores(metric)['all_SAM'] == pytest.approx(math.pi / 2 / 7, rel=1e-2)


def test_one_band_has_no_angle() -> None:
    preds, target, clouds = sample(0, bands=1)
    metric = ReconstructionMetrics()
    metric.update(preds, target, clouds)
    assert {name.partition('_')[2] for name in metric.compute()} == SCORES - {'SAM'}


def test_data_range_only_sets_the_units() -> None:
    preds, target, clouds = sample(0)
    unit, stored = ReconstructionMetrics(), ReconstructionMetrics(data_range=10000)
    unit.update(preds, target, clouds)
    stored.update(10000 * preds, 10000 * target, clouds)
    expected = {name: v * (10000 if 'MAE' in name else 1) for name, v in scores(unit).items()}
    assert scores(stored) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_measured_in_float32(dtype: torch.dtype) -> None:
    preds, target, clouds = (x.to(dtype) if x.is_floating_point() else x for x in sample(0))
    half, full = ReconstructionMetrics().to(dtype), ReconstructionMetrics()
    with torch.autocast('cpu', dtype=dtype):
        half.update(preds, target, clouds)
    full.update(preds.float(), target.float(), clouds)
    assert scores(half) == scores(full)


def test_bad_input_is_refused() -> None:
    metric = ReconstructionMetrics()
    image = torch.zeros(1, 4, 8, 8)
    with pytest.raises(ValueError, match=r'\(1, 4, 8, 8\) and \(1, 3, 8, 8\)'):
        metric.update(image, image[:, :3], torch.zeros(1, 8, 8))
    with pytest.raises(ValueError, match=r'= \(1, 8, 8\) .*found \(1, 4, 4\)'):
        metric.update(image, image, torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match=r'at least 6 x 6 px, found 8 x 5'):
        metric.update(image[..., :5], image[..., :5], torch.zeros(1, 8, 5))
    with pytest.raises(ValueError, match='data_range'):
        ReconstructionMetrics(data_range=0)
