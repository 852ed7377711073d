"""Clouds as a transform of samples and batches: seeds, keys, independence."""

import numpy as np
import pandas as pd
import pytest
import torch
from kornia.augmentation import AugmentationSequential, RandomHorizontalFlip
from torch.utils.data import DataLoader, Dataset

from torchgeo_cloudseg.transforms import MendWrapped, SyntheticClouds, add_clouds

BOUNDS = torch.tensor(
    [500000.0, 502560.0, 10.0, 3400000.0, 3402560.0, 10.0, 1.6e9, 1.61e9, 1.0], dtype=torch.float64
)


def batch_of(count, size=64, bands=4):
    generator = torch.Generator().manual_seed(0)
    bounds = BOUNDS.repeat(count, 1)
    bounds[:, :2] += 640 * torch.arange(count)[:, None]
    return {
        'image': torch.rand(count, bands, size, size, generator=generator) * 0.3,
        'image_sar': torch.randn(count, 2, size, size, generator=generator),
        'mask': torch.full((count, 19, 19), 255),
        'bounds': bounds,
    }


def sample_of(batch, index):
    return {key: value[index] for key, value in batch.items()}


def test_keys_of_a_sample():
    sample = sample_of(batch_of(1), 0)
    before = {key: value.clone() for key, value in sample.items()}
    cloudy = SyntheticClouds('broken', layers=('alpha', 'shadow'))(sample)
    assert set(cloudy) == {*sample, 'image_clear', 'mask_cloud', 'image_alpha', 'image_shadow'}
    assert torch.equal(cloudy['image_clear'], before['image'])
    assert cloudy['mask_cloud'].dtype == torch.long
    assert cloudy['mask_cloud'].shape == (64, 64)
    assert set(cloudy['mask_cloud'].unique().tolist()) == {0, 1}
    assert cloudy['image_alpha'].shape == cloudy['image_shadow'].shape == (1, 64, 64)
    for key in ('image_sar', 'mask', 'bounds'):
        assert cloudy[key] is sample[key]
    for key, value in before.items():
        assert torch.equal(sample[key], value), f'{key} of the input was changed'
    changed = (cloudy['image'] != sample['image']).any(0)
    assert changed[cloudy['mask_cloud'] == 1].all()


def test_keys_of_a_batch():
    cloudy = SyntheticClouds('broken')(batch_of(3))
    assert cloudy['image'].shape == (3, 4, 64, 64)
    assert cloudy['mask_cloud'].shape == (3, 64, 64)
    assert 'image_alpha' not in cloudy


@pytest.mark.parametrize('preset', ['broken', 'thin', 'm3mcr'])
@pytest.mark.parametrize('size', [61, 64])
def test_a_sample_alone_equals_the_sample_in_a_batch(preset, size):
    clouds = SyntheticClouds(preset, layers=('alpha', 'shadow'))
    batch, seeds = batch_of(5, size), [11, 2**60, 3, 0, 77]
    together = clouds(batch, seeds=seeds)
    for index, seed in enumerate(seeds):
        alone = clouds(sample_of(batch, index), seeds=seed)
        pair = clouds({'image': batch['image'][[index, 0]]}, seeds=[seed, 5])
        for key in ('image', 'mask_cloud', 'image_alpha', 'image_shadow'):
            assert torch.equal(alone[key], together[key][index]), key
            assert torch.equal(alone[key], pair[key][0]), key


def test_random_clouds_are_new_every_time_and_follow_the_global_seed():
    clouds, batch = SyntheticClouds('broken'), batch_of(2)
    torch.manual_seed(5)
    first, second = clouds(batch)['mask_cloud'], clouds(batch)['mask_cloud']
    torch.manual_seed(5)
    again = clouds(batch)['mask_cloud']
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


class Places(Dataset):
    def __init__(self, batch):
        self.batch = batch

    def __len__(self):
        return len(self.batch['image'])

    def __getitem__(self, index):
        return SyntheticClouds('broken', seed_from='bounds')(sample_of(self.batch, index))


def test_same_bounds_same_clouds_in_every_batch_and_worker():
    clouds, batch = SyntheticClouds('broken', seed_from='bounds'), batch_of(6)
    expected = clouds(batch)
    for size, workers in ((1, 0), (4, 0), (3, 2)):
        loader = DataLoader(Places(batch), batch_size=size, num_workers=workers)
        parts = list(loader)
        for key in ('image', 'mask_cloud'):
            assert torch.equal(torch.cat([part[key] for part in parts]), expected[key])
    shuffled = clouds({key: value.flip(0) for key, value in batch.items()})
    assert torch.equal(shuffled['mask_cloud'].flip(0), expected['mask_cloud'])
    assert not torch.equal(expected['mask_cloud'][0], expected['mask_cloud'][1])


def test_bounds_in_all_forms_of_torchgeo():
    clouds = SyntheticClouds('broken', seed_from='bounds')
    image = {'image': torch.full((1, 32, 32), 0.1)}
    expected = clouds({**image, 'bounds': BOUNDS})['mask_cloud']
    start, stop = (pd.Timestamp(time, unit='s', tz='UTC') for time in BOUNDS[6:8].tolist())
    numbers = BOUNDS.tolist()
    slices = slice(*numbers[:3]), slice(*numbers[3:6]), slice(start, stop, 1)
    stacked = {'image': image['image'][None].repeat(2, 1, 1, 1)}
    for bounds in (slices, BOUNDS[None]):
        assert torch.equal(clouds({**image, 'bounds': bounds})['mask_cloud'], expected)
    assert torch.equal(clouds({**image, 'bounds': BOUNDS.float()})['mask_cloud'], expected)
    for bounds in ([slices, slices], BOUNDS.repeat(2, 1), [BOUNDS, BOUNDS]):
        masks = clouds({**stacked, 'bounds': bounds})['mask_cloud']
        assert torch.equal(masks[1], expected)


@pytest.mark.parametrize(
    ('changes', 'same'),
    [
        ({0: 1e-7}, True),
        ({2: 20.0, 5: 20.0}, True),
        ({0: 10.0}, False),
        ({1: 10.0}, False),
        ({3: 10.0}, False),
        ({6: 86400.0}, False),
    ],
)
def test_what_a_place_is(changes, same):
    clouds = SyntheticClouds('broken', seed_from='bounds')
    bounds = BOUNDS.clone()
    for position, change in changes.items():
        bounds[position] += change
    masks = [
        clouds({'image': torch.full((1, 32, 32), 0.1), 'bounds': place})['mask_cloud']
        for place in (BOUNDS, bounds)
    ]
    assert torch.equal(*masks) == same


def test_pixels_in_degrees_are_told_apart():
    step = 0.25 / 5556
    clouds = SyntheticClouds('broken', seed_from='bounds', pixel_size=5)
    masks = []
    for shift, dtype in (
        (0.0, torch.float64),
        (step, torch.float64),
        (1e-12, torch.float64),
        (0.0, torch.float32),
    ):
        west = 114 + shift
        bounds = (west, west + 32 * step, step, 30.0, 30 + 32 * step, step, 0.0, 1.0, 1.0)
        sample = {'image': torch.full((1, 32, 32), 0.1)}
        sample['bounds'] = torch.tensor(bounds, dtype=dtype)
        masks.append(clouds(sample)['mask_cloud'])
    assert not torch.equal(masks[0], masks[1])
    assert torch.equal(masks[0], masks[2])
    assert torch.equal(masks[0], masks[3])


def test_zone_and_seed_make_other_clouds():
    sample = {'image': torch.full((1, 32, 32), 0.1), 'bounds': BOUNDS}
    zones = [{}, {'epsg': torch.tensor(32646)}, {'epsg': torch.tensor(32736)}]
    masks = [SyntheticClouds(seed_from='bounds')({**sample, **z})['mask_cloud'] for z in zones]
    masks.append(SyntheticClouds(seed_from='bounds', seed=1)(sample)['mask_cloud'])
    for index, mask in enumerate(masks):
        assert not any(torch.equal(mask, other) for other in masks[:index])


def test_draw_and_apply_equal_the_transform():
    clouds, batch = SyntheticClouds('m3mcr', pixel_size=3), batch_of(2)
    field = clouds.draw((64, 64), [1, 2])
    expected = clouds(batch, seeds=[1, 2])
    applied = field.apply(batch['image'])
    assert torch.equal(applied.image, expected['image'])
    functional = add_clouds(batch['image'], clouds.recipe, [1, 2], pixel_size=3)
    assert torch.equal(functional.mask, expected['mask_cloud'])
    assert len(clouds.draw((8, 8))) == 1


@pytest.mark.parametrize('seeds', [torch.tensor([3, 5]), np.array([3, 5]), (3, 5), iter([3, 5])])
def test_seeds_in_all_forms(seeds):
    clouds, batch = SyntheticClouds('broken'), batch_of(2, 32)
    expected = clouds(batch, seeds=[3, 5])['mask_cloud']
    assert torch.equal(clouds(batch, seeds=seeds)['mask_cloud'], expected)
    alone = clouds(sample_of(batch, 1), seeds=np.int64(5))['mask_cloud']
    assert torch.equal(alone, expected[1])


def test_mixed_precision_does_not_change_the_clouds():
    clouds, batch = SyntheticClouds('m3mcr', pixel_size=3), batch_of(2)
    expected = clouds(batch, seeds=[1, 2])
    with torch.autocast('cpu', torch.bfloat16):
        cloudy = clouds(batch, seeds=[1, 2])
    assert torch.equal(cloudy['image'], expected['image'])


def test_arguments_change_the_preset():
    clouds = SyntheticClouds('thick', cover=None, sun_azimuth=90.0, cloud_reflectance=[0.6] * 4)
    assert clouds.recipe.cover is None
    assert clouds.recipe.sun_azimuth == 90
    assert clouds.recipe.thickness == SyntheticClouds('thick').recipe.thickness
    assert SyntheticClouds('thick').recipe.cover == (0.3, 0.7)
    # as read from a configuration file
    ranges = {'spectral_exponent': [2.0, 3.0], 'cover': [0.2, 0.3]}
    image = torch.full((1, 32, 32), 0.1)
    listed, given = (
        SyntheticClouds(**{name: kind(span) for name, span in ranges.items()})
        for kind in (list, tuple)
    )
    masks = [sky({'image': image}, seeds=3)['mask_cloud'] for sky in (listed, given)]
    assert torch.equal(*masks)
    assert 'seed_from' in repr(clouds)


def test_clear_image_of_a_real_pair_as_source():
    pair = {'image': torch.ones(4, 32, 32), 'image_clear': torch.full((4, 32, 32), 0.1)}
    with pytest.raises(ValueError, match="source='image_clear'"):
        SyntheticClouds()(pair)
    cloudy = SyntheticClouds(source='image_clear')(pair)
    assert torch.equal(cloudy['image_clear'], pair['image_clear'])
    assert cloudy['image'].max() < 1


def test_kornia_moves_all_keys_together():
    batch = SyntheticClouds('broken', layers=('alpha',))(batch_of(2))
    moving = {key: batch[key] for key in ('image', 'image_alpha', 'mask_cloud')}
    moving['mask_cloud'] = moving['mask_cloud'][:, None].float()
    moved = AugmentationSequential(RandomHorizontalFlip(p=1), data_keys=None)(moving)
    for key, value in moving.items():
        torch.testing.assert_close(moved[key], value.flip(-1))


@pytest.mark.parametrize(
    ('sample', 'error', 'message'),
    [
        ({}, KeyError, 'needs a cloud-free'),
        ({'image': torch.rand(1, 8, 8)}, KeyError, "needs the key 'bounds'"),
        ({'image': torch.rand(2, 1, 8, 8), 'bounds': BOUNDS[None]}, ValueError, '2 images, but 1'),
        ({'image': torch.rand(1, 8, 8), 'bounds': BOUNDS[:4]}, ValueError, 'bounds have shape'),
        ({'image': torch.rand(8, 8), 'bounds': BOUNDS}, ValueError, r'\(8, 8\)'),
        ({'image': [1, 2], 'bounds': BOUNDS}, ValueError, 'list'),
        ({'image': torch.rand(0, 4, 8, 8), 'bounds': BOUNDS}, ValueError, r'\(0, 4, 8, 8\)'),
    ],
)
def test_samples_are_checked(sample, error, message):
    with pytest.raises(error, match=message):
        SyntheticClouds(seed_from='bounds')(sample)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match='seed_from'):
        SyntheticClouds(seed_from='place')
    with pytest.raises(ValueError, match='layers'):
        SyntheticClouds(layers=('thickness',))
    with pytest.raises(ValueError, match='cover'):
        SyntheticClouds(cover=1.5)
    with pytest.raises(TypeError, match='thiness'):
        SyntheticClouds(thiness=0.4)
    with pytest.raises(ValueError, match='3 seeds for 2 images'):
        SyntheticClouds()(batch_of(2), seeds=[1, 2, 3])


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_gpu_has_the_clouds_of_the_cpu():
    clouds, batch = SyntheticClouds('m3mcr', layers=('alpha', 'shadow')), batch_of(4)
    expected = clouds(batch, seeds=range(4))
    there = {key: value.cuda() for key, value in batch.items()}
    cloudy = clouds(there, seeds=range(4))
    assert cloudy['image'].is_cuda
    assert cloudy['mask_cloud'].is_cuda
    assert (cloudy['mask_cloud'].cpu() != expected['mask_cloud']).float().mean() < 1e-3
    torch.testing.assert_close(
        cloudy['image_alpha'].cpu(), expected['image_alpha'], atol=1e-3, rtol=0
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_training_on_a_gpu_does_not_wait_for_it():
    clouds = SyntheticClouds('m3mcr', layers=('alpha', 'shadow'))
    batch = {key: value.cuda() for key, value in batch_of(4).items()}
    clouds(batch)  # compares the data range, and fills caches
    torch.cuda.set_sync_debug_mode('error')
    try:
        cloudy = clouds(batch)
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert (cloudy['image_alpha'] > 0.3).any((1, 2, 3)).all()


def test_clouds_on_some_bands_only():
    batch = batch_of(2, bands=6)
    seeds = [3, 4]
    some = SyntheticClouds('thick', bands=[4, 0, 1], cloud_reflectance=(0.5, 0.6, 0.7))
    seen = some(batch, seeds)
    for band in (2, 3, 5):
        assert torch.equal(seen['image'][:, band], batch['image'][:, band])
    alone = SyntheticClouds('thick', cloud_reflectance=(0.5, 0.6, 0.7))
    expected = alone({'image': batch['image'][:, [4, 0, 1]]}, seeds)
    assert torch.equal(seen['image'][:, [4, 0, 1]], expected['image'])
    assert torch.equal(seen['mask_cloud'], expected['mask_cloud'])
    assert torch.equal(seen['image_clear'], batch['image'])
    for bands in ([], [1, 1], [-1], [6]):
        with pytest.raises(ValueError, match='bands='):
            SyntheticClouds(bands=bands)(batch, seeds)


def test_wrapped_islands_are_mended():
    image = torch.full((2, 3, 32, 32), 90.0)
    image[0, 0, 4:28, 4:28] = 240.0
    image[0, 0, 10:20, 10:20] = 7.0
    # a lake is no island: what surrounds it is not that bright
    image[1, 0, 10:20, 10:20] = 7.0
    mended = MendWrapped()({'image': image})['image']
    assert (mended[0, 0, 10:20, 10:20] == 240).all()
    mended[0, 0, 10:20, 10:20] = 7.0
    assert torch.equal(mended, image)
