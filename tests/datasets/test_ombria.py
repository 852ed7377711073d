"""OMBRIA: layout, folds, what is ignored, and what a data module makes of real clouds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from helpers import read
from PIL import Image

from torchgeo_cloudseg.datamodules import (
    LuojiaSETDataModule,
    OMBRIADataModule,
    WHUOPTSARDataModule,
)
from torchgeo_cloudseg.datasets import OMBRIA, ScenesError, recognize_dataset
from torchgeo_cloudseg.datasets.ombria import division
from torchgeo_cloudseg.miniature import write_miniature_ombria
from torchgeo_cloudseg.samplers import CenterSceneSampler

REAL = Path(__file__).parents[2].parent / 'shared/ombria'
pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
CLOUDS = {'preset': 'thick', 'cover': 0.6, 'bands': [0, 1, 2]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_miniature_ombria(tmp_path / 'ombria', size_px=64, places_per_event=3)


def scenes(dataset: OMBRIA) -> dict[str, dict]:
    queries = list(CenterSceneSampler(dataset))
    return {query.scene: dataset[query] for query in queries}


def stored(root: Path, name: str, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    optical, sar = (
        np.concatenate(
            [read(root / f'OmbriaS{s}/{part}/{d.upper()}/S{s}_{d}_{name:0>4}.png') for d in dates]
        )
        for s, dates in ((2, ('after', 'before')), (1, ('after', 'before')))
    )
    return optical, sar, read(root / f'OmbriaS1/{part}/MASK/S1_mask_{name:0>4}.png')[0]


@pytest.mark.slow
def test_folds_go_by_id_and_pixels_are_as_stored(root: Path) -> None:
    assert recognize_dataset(root) is OMBRIA
    rows = json.loads((root / 'split.json').read_text())
    # the order of the list does not matter
    (root / 'split.json').write_text(json.dumps(rows[::-1]))
    for fold, events in {'train': 'AB', 'val': 'C', 'test': 'DE'}.items():
        found = scenes(OMBRIA(root, fold))
        assert set(found) == {row['id'] for row in rows if row['event'] in events}
        for name, sample in found.items():
            optical, sar, flood = stored(root, name, 'test' if fold == 'test' else 'train')
            np.testing.assert_array_equal(sample['image'], optical)
            np.testing.assert_array_equal(sample['image_sar'], sar)
            np.testing.assert_array_equal(sample['mask'], flood // 255)
            np.testing.assert_array_equal(
                sample['mask_cloud'], read(root / f'clouds/{name}.png')[0]
            )
            assert sample['nominal'].all()


def test_labels_without_data_are_ignored_and_missing_files_named(root: Path) -> None:
    name = '13'
    path = root / f'OmbriaS2/test/AFTER/S2_after_00{name}.png'
    pixels = np.array(Image.open(path))
    pixels[:5] = 0
    pixels[5, :, 1:] = 0
    Image.fromarray(pixels).save(path)
    sample = scenes(OMBRIA(root, 'test'))[name]
    assert (sample['mask'][:5] == 255).all()
    assert (sample['mask'][5:] != 255).all()
    (root / 'OmbriaS1/test/AFTER/S1_after_0014.png').unlink()
    (root / 'clouds/15.png').unlink()
    with pytest.raises(ScenesError, match='S1_after_0014') as error:
        OMBRIA(root, 'test')
    assert len(error.value.problems) == 2


def test_without_split_file_the_published_places_have_ours(root: Path) -> None:
    (root / 'split.json').unlink()
    table = division(root)
    assert len({row['id'] for row in table}) == len(table) == 804
    folds = {row['event']: set() for row in table}
    for row in table:
        folds[row['event']].add(row['fold'])
    assert all(len(found) == 1 for found in folds.values())


@pytest.mark.slow
def test_clouds_lie_on_clear_images_and_on_bands_after_the_flood(root: Path) -> None:
    options = {'root': root, 'batch_size': 6, 'patch_size': 64, 'clouds': CLOUDS}
    data = OMBRIADataModule(**options)
    data.setup('fit')
    batch = next(iter(data.train_dataloader()))
    cloudy = batch['mask_cloud'].flatten(1).any(dim=1)
    assert 0 < cloudy.sum() < 6
    after = data.on_after_batch_transfer(batch, 0)
    assert torch.equal(after['mask_hidden'].flatten(1).float().mean(1), cloudy.float())
    # real clouds stay what they are, and clear images get some
    assert torch.equal(after['image'][cloudy], batch['image'][cloudy] / 255)
    assert torch.equal(after['mask_cloud'][cloudy], batch['mask_cloud'][cloudy])
    changed = (after['image'] != after['image_clear'])[~cloudy].flatten(2).any(dim=2)
    assert changed.tolist() == [[True] * 3 + [False] * 3] * len(changed)
    assert after['mask_cloud'][~cloudy].float().mean() == pytest.approx(0.6, abs=0.02)
    rare = OMBRIADataModule(**{**options, 'clouds': {**CLOUDS, 'probability': 0.0}})
    assert torch.equal(rare.on_after_batch_transfer(batch, 0)['image'], batch['image'] / 255)
    teaching = OMBRIADataModule(root=root, clear_only=True, patch_size=64, batch_size=2)
    teaching.setup('fit')
    events = {row['id']: row['event'] for row in division(root)}
    assert [events[query.scene] for query in teaching.train_sampler] == ['A'] * 3
    # tests see the real clouds, and no image that is said to be clear
    data.setup('test')
    shown = data.augmentations.get('test')
    assert shown is None


def test_clouds_of_cloudy_places_are_pasted_on_clear_ones(root: Path) -> None:
    clouds = {'preset': 'pasted', 'bands': [0, 1, 2], 'layers': ['alpha']}
    data = OMBRIADataModule(root=root, batch_size=6, patch_size=64, clouds=clouds)
    data.setup('fit')
    batch = next(iter(data.train_dataloader()))
    cloudy = batch['mask_cloud'].flatten(1).any(dim=1)
    after = data.on_after_batch_transfer(batch, 0)
    assert torch.equal(after['image'][cloudy], batch['image'][cloudy] / 255)
    assert torch.equal(after['image_clear'], batch['image'] / 255)
    assert torch.equal(after['mask_hidden'].flatten(1).float().mean(1), cloudy.float())
    covers = {int(mask.sum()) for mask in batch['mask_cloud'][cloudy]}
    assert {int(mask.sum()) for mask in after['mask_cloud'][~cloudy]} <= covers
    changed = (after['image'] != after['image_clear'])[~cloudy].flatten(2).any(dim=2)
    assert changed.tolist() == [[True] * 3 + [False] * 3] * len(changed)
    assert after['image_alpha'][~cloudy].amax() == 1


def test_clouds_brighter_than_the_data_stay_in_their_range(root: Path) -> None:
    clouds = {'preset': 'thick', 'bands': [0, 1, 2], 'cloud_reflectance': 1.5, 'thickness': 400.0}
    data = OMBRIADataModule(root=root, batch_size=6, patch_size=64, clouds=clouds)
    data.setup('fit')
    after = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert after['image'].amax() == 1
    assert (after['image'] == 1).float().mean() > 0.05


def test_pasted_clouds_are_not_drawn_and_need_cloudy_images(root: Path) -> None:
    with pytest.raises(ValueError, match=r"\['cover'\].*'bands', 'layers' and 'probability'"):
        OMBRIADataModule(root=root, clouds={'preset': 'pasted', 'cover': 0.5})
    with pytest.raises(ValueError, match='cloud-free twins'):
        LuojiaSETDataModule(clouds='pasted')
    with pytest.raises(ValueError, match='no cloudy images'):
        WHUOPTSARDataModule(clouds='pasted')


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason='needs the real places of OMBRIA beside the checkout')
def test_real_places_are_read_exactly(tmp_path: Path) -> None:
    rows = json.loads((REAL / 'split.json').read_text())
    assert [{key: row[key] for key in ('id', 'event', 'fold')} for row in rows] == division(
        tmp_path
    )
    paths = {row['id']: row for row in rows}
    for fold in ('train', 'val', 'test'):
        dataset = OMBRIA(REAL, fold, index_dir=tmp_path)
        queries = list(CenterSceneSampler(dataset))
        for query in queries[:: len(queries) // 10]:
            sample, row = dataset[query], paths[query.scene]
            assert row['fold'] == fold
            optical = [read(REAL / row[f'optical_{date}']) for date in ('after', 'before')]
            sar = [read(REAL / row[f'sar_{date}']) for date in ('after', 'before')]
            flood = np.where(
                (optical[0] == 0).all(axis=0), 255, read(REAL / row['flood'])[0] // 255
            )
            np.testing.assert_array_equal(sample['image'], np.concatenate(optical))
            np.testing.assert_array_equal(sample['image_sar'], np.concatenate(sar))
            np.testing.assert_array_equal(sample['mask'], flood)
            with rasterio.open(REAL / f'clouds/{query.scene}.png') as raster:
                np.testing.assert_array_equal(sample['mask_cloud'], raster.read(1) > 0)
