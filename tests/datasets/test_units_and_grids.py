"""Resolutions in the unit of the CRS, patches on the pixel grid, and where files lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import torch
from ground import EAST, WEST, Ground, Labels, assert_true, corner, write_labels, write_scene
from helpers import write
from rasterio.transform import from_origin
from torchgeo.datasets import random_bbox_splitting, random_grid_cell_assignment, roi_split

from torchgeo_cloudseg.datamodules import SceneDataLoader
from torchgeo_cloudseg.datasets import ScenesError, ZonedDataset
from torchgeo_cloudseg.samplers import CenterSceneSampler, GridSceneSampler, RandomSceneSampler


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('ground')
    for number in range(2):
        write_scene(root, f'west_{number}', WEST, corner(WEST, -1500 + 700 * number, 400))
        write_scene(root, f'east_{number}', EAST, corner(EAST, 100 + 700 * number, 400))
    return root


def test_a_crs_in_degrees_comes_with_a_resolution_in_degrees(root: Path) -> None:
    dataset = Ground(root, crs='EPSG:4326', val_share=0)
    # 10 m: between a pixel of latitude and one of longitude
    assert 8e-5 < dataset.res[0] < 1.4e-4
    queries = list(CenterSceneSampler(dataset))
    assert len(queries) == 4
    for query in queries:
        sample = dataset[query]
        assert all(40 < side < 100 for side in sample['image'].shape[1:])
    for query in RandomSceneSampler(dataset, 16, length=8):
        assert_true(dataset[query], query, 'EPSG:4326')
    container = Ground.zoned(root, crs='EPSG:4326', val_share=0)
    assert container.res == pytest.approx(dataset.res)
    assert [part.res for part in container.zone_datasets] == [(10, 10), (10, 10)]
    for query in CenterSceneSampler(container):
        assert container[query]['image'].shape == (2, 64, 64)
    west, south, east, north = container.index.geometry.iloc[0].bounds
    plain = container[west:east, south:north]
    assert all(40 < side < 100 for side in plain['image'].shape[1:])


def test_the_crs_changes_and_the_resolution_follows(root: Path) -> None:
    for dataset in (
        Ground(root, zone=32632, val_share=0),
        Ground.zoned(root, val_share=0),
        ZonedDataset([Ground(root, zone=32633, val_share=0)]),
    ):
        res = dataset.res
        dataset.crs = 'EPSG:4326'
        assert 8e-5 < dataset.res[0] < 1.4e-4
        middle = dataset.index.geometry.iloc[0].centroid
        sample = dataset[middle.x - 2e-3 : middle.x + 2e-3, middle.y - 2e-3 : middle.y + 2e-3]
        assert all(30 < side < 60 for side in sample['image'].shape[1:])
        dataset.crs = WEST
        # meters of an equal-area CRS are not those of UTM
        assert dataset.res == pytest.approx(res, rel=0.1)


def test_a_resolution_that_was_asked_for_is_kept(root: Path) -> None:
    assert Ground(root, crs='EPSG:4326', res=np.float32(5e-4), val_share=0).res[0] == pytest.approx(
        5e-4
    )
    zoned = Ground.zoned(root, crs='EPSG:4326', res=5e-4, val_share=0)
    assert zoned.zone_datasets[0].res == (10, 10)
    assert Ground.zoned(root, res=20, val_share=0).zone_datasets[0].res == (20, 20)


def test_a_query_without_a_pixel_is_refused(root: Path) -> None:
    dataset = Ground(root, zone=32632, val_share=0)
    west, south, east, north = dataset.index.geometry.iloc[0].bounds
    with pytest.raises(ValueError, match=r'0 x 0 pixels.*units of EPSG:32632'):
        dataset[west:east:5000, south:north:5000]


@pytest.mark.parametrize('res', [0, -10, float('nan'), (10, 20, 30), (10, 0)])
def test_resolutions_that_are_none(root: Path, res: Any) -> None:
    with pytest.raises(
        ValueError, match=r'res=.*width and height of a pixel in units of EPSG:32632'
    ):
        Ground(root, crs='EPSG:32632', res=res, val_share=0)


def test_queries_and_tables_that_are_none(root: Path, tmp_path: Path) -> None:
    dataset = Ground(root, zone=32632, val_share=0)
    west, south, east, north = dataset.index.total_bounds
    for x in (slice(east, west, 10), slice(west, east, 0), slice(west, east, -10)):
        with pytest.raises(ValueError, match='expected one at least'):
            dataset[x, south:north]
    for whole in (dataset, Ground.zoned(root, val_share=0)):
        with pytest.raises(TypeError, match='Filter it without `reset_index`'):
            whole.index = whole.index.reset_index(drop=True)
        assert all(Path(file).is_file() for file in whole.files)
    (tmp_path / 'empty.txt').write_text('\n\n')
    with pytest.raises(ValueError, match='found no name'):
        Ground(root, file_list=tmp_path / 'empty.txt')


def off_grid(query: Any, path: Path) -> float:
    """How far a patch lies off the pixels of a file, in pixels."""
    with rasterio.open(path) as raster:
        col, row = ~raster.transform @ (query[0].start, query[1].stop)
    return max(abs(col - round(col)), abs(row - round(row)))


def halves(index: Any) -> list[Any]:
    west, south, east, north = index.total_bounds
    middle = west + (east - west) * 0.43217
    return [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]


SPLITS = {
    'roi_split': lambda dataset: roi_split(dataset, halves(dataset.index)),
    'random_bbox_splitting': lambda dataset: random_bbox_splitting(
        dataset, [0.57, 0.43], torch.Generator().manual_seed(1)
    ),
    'random_grid_cell_assignment': lambda dataset: random_grid_cell_assignment(
        dataset, [0.5, 0.5], 3, torch.Generator().manual_seed(1)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize('split', SPLITS)
@pytest.mark.parametrize('container', [False, True])
def test_splits_keep_to_the_pixels_and_share_none(root: Path, split: str, container: bool) -> None:
    whole: Any = (
        Ground.zoned(root, val_share=0) if container else Ground(root, zone=32632, val_share=0)
    )
    seen: list[set[tuple[str, int, int]]] = []
    for part in SPLITS[split](whole):
        pixels: set[tuple[str, int, int]] = set()
        for sampler in (RandomSceneSampler(part, 8, length=15), GridSceneSampler(part, 8, 16)):
            for query in sampler:
                path = root / 'train/image' / f'{query.scene}.tif'
                assert off_grid(query, path) < 1e-6
                assert torch.equal(part[query]['image'], whole[query]['image'])
                with rasterio.open(path) as raster:
                    row, col = raster.index(query[0].start + 1, query[1].stop - 1)
                pixels |= {
                    (str(query.scene), y, x)
                    for y in range(row, row + 8)
                    for x in range(col, col + 8)
                }
        seen.append(pixels)
    assert all(seen)
    assert not seen[0] & seen[1]


@pytest.mark.parametrize('sidecar', ['.aux.xml', '.tfw'])
def test_a_georeference_beside_the_file_counts(
    tmp_path: Path, sidecar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as TorchGeo's command line has it
    monkeypatch.setenv('GDAL_DISABLE_READDIR_ON_OPEN', 'EMPTY_DIR')
    left, top = corner(WEST, -1500, 400)
    write_scene(tmp_path, 'a', WEST, (left, top))
    for path in (tmp_path / 'train').rglob('*.tif'):
        with rasterio.open(path) as raster:
            pixels = raster.read()
        if sidecar == '.tfw':
            # the place beside it, the CRS in it
            place = {'crs': WEST, 'transform': None}
            write(path, pixels, **place)
            path.with_suffix('.tfw').write_text(f'10\n0\n0\n-10\n{left + 5}\n{top - 5}\n')
        else:
            write(path, pixels, crs=None, transform=None)
            srs = f'<SRS>{WEST}</SRS><GeoTransform>{left}, 10, 0, {top}, 0, -10</GeoTransform>'
            Path(f'{path}.aux.xml').write_text(f'<PAMDataset>{srs}</PAMDataset>')
    dataset = Ground(tmp_path, val_share=0)
    (query,) = CenterSceneSampler(dataset)
    assert (query[0].start, query[1].stop) == (left, top)
    assert_true(dataset[query], query, WEST)
    foreign = ZonedDataset.from_files(Labels, tmp_path / 'train/labels')
    assert foreign.zone_datasets[0].index.total_bounds[0] == left


def test_capital_endings_and_hidden_files(tmp_path: Path) -> None:
    write_scene(tmp_path, 'a', WEST, corner(WEST, -1500, 400))
    for path in list((tmp_path / 'train').rglob('*.tif')):
        path.rename(path.with_suffix('.TIF'))
        (path.parent / '._a.tif').write_bytes(b'\x00\x05\x16\x07')
    dataset = Ground(tmp_path, val_share=0)
    assert dataset.scene_names == ['a']
    (query,) = CenterSceneSampler(dataset)
    assert_true(dataset[query], query, WEST)


@pytest.mark.parametrize(
    'toi',
    [
        pd.Interval(pd.Timestamp('2020-01-01'), pd.Timestamp('2020-12-31'), closed='both'),
        pd.Interval(
            pd.Timestamp('2020-01-01', tz='UTC'),
            pd.Timestamp('2020-12-31', tz='UTC'),
            closed='left',
        ),
        ('2020-01-01', '2020-12-31'),
        (pd.Timestamp('2020-01-01', tz='Europe/Rome'), None),
        slice('2020-01-01', None),
        slice(None, pd.Timestamp('2020-12-31')),
    ],
)
def test_times_of_interest_however_they_are_written(root: Path, toi: Any) -> None:
    dataset = Ground(root, zone=32632, val_share=0)
    years = [('2020-03-01', '2020-04-01'), ('2019-03-01', '2019-04-01')]
    if isinstance(toi, slice) and toi.start is None:
        years[1] = ('2021-03-01', '2021-04-01')
    times = [pd.Interval(*map(pd.Timestamp, year), closed='both') for year in years]
    dataset.index = dataset.index.set_axis(pd.IntervalIndex(times, name='datetime'))
    (query,) = CenterSceneSampler(dataset, toi=toi)
    assert query[2].start == pd.Timestamp('2020-03-01')


@pytest.mark.parametrize('size', [np.int64(16), 16.0, (np.int32(16), 16.0), np.array([16, 16])])
def test_sizes_are_whole_numbers_of_any_type(root: Path, size: Any) -> None:
    dataset = Ground.zoned(root, val_share=0)
    for sampler in (
        RandomSceneSampler(dataset, size, length=np.int64(3)),
        GridSceneSampler(dataset, size),
    ):
        assert dataset[next(iter(sampler))]['image'].shape == (2, 16, 16)


def test_missing_optical_values_are_filled_by_band(tmp_path: Path) -> None:
    class Float(Ground):
        layers: ClassVar = dict(Ground.layers)
        layers['image'] = replace(Ground.layers['image'], dtypes=('float32',), may_be_nan=True)

    write_scene(tmp_path, 'a', WEST, corner(WEST, -1500, 400))
    path = tmp_path / 'train/image/a.tif'
    with rasterio.open(path) as raster:
        pixels, place = raster.read().astype(np.float32), raster.transform
    pixels[:, 5, 7] = np.nan
    pixels[1, 6, 7] = np.nan
    write(path, pixels, crs=WEST, transform=place)
    dataset = Float(tmp_path, val_share=0)
    (query,) = CenterSceneSampler(dataset)
    image = dataset[query]['image'].numpy()
    means = np.nanmean(pixels.astype(float), axis=(1, 2))
    np.testing.assert_allclose(image[:, 5, 7], means, rtol=1e-6)
    np.testing.assert_allclose(image[:, 6, 7], [pixels[0, 6, 7], means[1]], rtol=1e-6)
    write(path, np.stack([pixels[0], np.full_like(pixels[1], np.nan)]), crs=WEST, transform=place)
    with pytest.raises(ValueError, match='NaN in every pixel of a band'):
        Float(tmp_path, val_share=0)[query]


def test_loader_over_a_plain_raster_data_set(tmp_path: Path) -> None:
    write_labels(tmp_path / 'labels.tif', WEST, corner(WEST, -1500, 400), (64, 64))
    dataset = Labels(tmp_path)
    loader = SceneDataLoader(dataset, batch_size=2, sampler=GridSceneSampler(dataset, 32))
    batches = list(loader)
    assert len(batches) == 2
    for batch in batches:
        assert batch['mask'].shape == (2, 32, 32)
        assert batch['bounds'].shape == (2, 9)
        assert all(isinstance(value, torch.Tensor) for value in batch.values())
    # and of several zones
    container = ZonedDataset([dataset])
    batch = next(iter(SceneDataLoader(container, 4, GridSceneSampler(container, 32))))
    assert batch['mask'].shape == (4, 32, 32)


def test_no_place_is_still_an_error(tmp_path: Path) -> None:
    write(
        tmp_path / 'train/image/a.tif',
        np.ones((2, 8, 8), np.uint16),
        crs=None,
        transform=from_origin(0, 0, 1, 1),
    )
    with pytest.raises(ScenesError, match='no CRS'):
        Ground(tmp_path, modalities=['image'], val_share=0)
