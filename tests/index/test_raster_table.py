"""Any RasterDataset in several zones, from a cached index: as TorchGeo's own, file by file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin
from rasterio.windows import from_bounds
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError, RasterDataset, Sentinel2, stack_samples

from torchgeo_cloudseg.datasets import ScenesError, ZonedDataset
from torchgeo_cloudseg.index import datasets_by_crs, raster_table
from torchgeo_cloudseg.samplers import GridSceneSampler, RandomSceneSampler

#: Tiles by name: CRS, left and top. North and south; the last one lies across the antimeridian.
TILES = {
    '33TWM': ('EPSG:32633', 500_000, 5_200_000),
    '33LWM': ('EPSG:32733', 500_000, 9_000_000),
    '60KXF': ('EPSG:32760', 815_300, 8_000_000),
}


class Optical(RasterDataset):
    """A data set of somebody else."""

    filename_glob = 'optical_*.tif'
    filename_regex = r'^optical_(?P<tile>\w{5})_(?P<date>\d{8})\.tif$'
    date_format = '%Y%m%d'
    all_bands = ('B02', 'B03', 'B04')


def write(path: Path, tile: str, bands: int, shift: int = 0) -> None:
    crs, left, top = TILES[tile]
    values = np.random.default_rng(abs(hash(path.name)) % 2**32).integers(1, 9000, (bands, 60, 70))
    profile = {'crs': crs, 'transform': from_origin(left + shift, top, 10, 10)}
    with rasterio.open(
        path, 'w', 'GTiff', 70, 60, count=bands, dtype='uint16', **profile
    ) as raster:
        raster.write(values.astype(np.uint16))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two dates of three tiles; as one file for all bands, and as one for each."""
    root = tmp_path / 'data'
    root.mkdir()
    for tile in TILES:
        for day in (1, 2):
            write(root / f'optical_{tile}_2020060{day}.tif', tile, 3, shift=1000 * day)
            for band in ('B02', 'B03'):
                write(root / f'T{tile}_2020060{day}T101010_{band}.tif', tile, 1, shift=1000 * day)
    return root


@pytest.fixture
def opened(watch: Callable[..., list[str]]) -> list[str]:
    """Files of which TorchGeo was asked."""
    return watch(raster_table, '_read_row')


KINDS = [(Optical, {}), (Optical, {'bands': ['B04']}), (Sentinel2, {'bands': ['B03', 'B02']})]


@pytest.mark.parametrize(('kind', 'kwargs'), KINDS)
def test_index_is_torchgeos_own(
    root: Path, opened: list[str], kind: type[RasterDataset], kwargs: dict[str, Any]
) -> None:
    for count in (6, 0):  # the second time from the cache
        opened.clear()
        parts = datasets_by_crs(kind, root, **kwargs)
        assert len(opened) == count
        assert [part.crs.to_string() for part in parts] == [
            'EPSG:32633',
            'EPSG:32733',
            'EPSG:32760',
        ]
        for part in parts:
            expected = kind(part.files, **kwargs)
            assert (part.crs, part.res, part.files) == (expected.crs, expected.res, expected.files)
            assert part.index['filepath'].tolist() == expected.index['filepath'].tolist()
            assert part.index.index.equals(expected.index.index)
            assert part.index.geometry.geom_equals(expected.index.geometry).all()


@pytest.mark.slow
@pytest.mark.parametrize(('kind', 'kwargs'), KINDS)
def test_pixels_are_those_of_the_files(
    root: Path, kind: type[RasterDataset], kwargs: dict[str, Any]
) -> None:
    zoned = ZonedDataset.from_files(kind, root, **kwargs)
    for sampler in (RandomSceneSampler(zoned, 20, length=20), GridSceneSampler(zoned, 30)):
        for query in sampler:
            x, y, t = query
            start = f'{t.start:%Y%m%d}'
            (file,) = (
                path
                for path, times in zip(
                    zoned.zone_datasets[query.zone].index['filepath'],
                    zoned.zone_datasets[query.zone].index.index,
                    strict=True,
                )
                if f'{times.left:%Y%m%d}' == start
            )
            bands = {'B02': 1, 'B03': 2, 'B04': 3}
            paths = [file.replace('_B03', f'_{band}') for band in kwargs.get('bands', bands)]
            expected = []
            for path, band in zip(paths, kwargs.get('bands', bands), strict=True):
                with rasterio.open(path) as raster:
                    window = from_bounds(x.start, y.start, x.stop, y.stop, raster.transform)
                    number = bands[band] if kind is Optical else 1
                    expected.append(raster.read(number, window=window))
            np.testing.assert_array_equal(zoned[query]['image'].numpy(), np.stack(expected))


@pytest.mark.slow
@pytest.mark.parametrize('context', ['fork', 'spawn'])
def test_workers_read_all_zones(root: Path, context: str) -> None:
    zoned = ZonedDataset.from_files(Optical, root)
    sampler = RandomSceneSampler(zoned, 20, length=12)
    loader = DataLoader(
        zoned, 4, sampler=sampler, num_workers=1, multiprocessing_context=context,
        collate_fn=images,
    )  # fmt: skip
    batches = list(loader)
    assert torch.equal(torch.cat([image for image, _ in batches]), images_of(zoned, sampler))
    assert set(torch.cat([zone for _, zone in batches]).ravel().tolist()) == {0, 1, 2}


def images(samples: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    batch = stack_samples([{key: sample[key] for key in ('image', 'zone')} for sample in samples])
    return batch['image'], batch['zone']


def images_of(zoned: ZonedDataset, sampler: RandomSceneSampler) -> torch.Tensor:
    return torch.stack([zoned[query]['image'] for query in sampler])


def test_only_changed_files_are_opened(root: Path, opened: list[str]) -> None:
    assert len(ZonedDataset.from_files(Optical, root)) == 6
    (index,) = (root / '.cloudseg').iterdir()
    table = gpd.read_parquet(index)
    assert table.crs.to_epsg() == 4326
    assert not any(os.path.isabs(path) for path in table['filepath'])  # noqa: PTH117
    opened.clear()
    added = root / 'optical_33TWM_20200603.tif'
    write(added, '33TWM', 3)
    assert len(ZonedDataset.from_files(Optical, root)) == 7
    assert opened == [added.name]
    opened.clear()
    moved = root / 'optical_60KXF_20200601.tif'
    before = ZonedDataset.from_files(Optical, root).zone_datasets[2].index.total_bounds
    write(moved, '60KXF', 3, shift=-5000)
    after = ZonedDataset.from_files(Optical, root).zone_datasets[2].index.total_bounds
    assert opened == [moved.name]
    assert after[0] == before[0] - 6000
    opened.clear()
    added.unlink()
    assert len(ZonedDataset.from_files(Optical, root)) == 6
    os.truncate(index, index.stat().st_size // 2)
    assert not opened
    assert len(ZonedDataset.from_files(Optical, root)) == 6
    assert len(opened) == 6


def test_index_elsewhere(root: Path, tmp_path: Path, opened: list[str]) -> None:
    files = sorted(root.glob('optical_33*.tif'))
    for count in (4, 0):
        opened.clear()
        assert len(ZonedDataset.from_files(Optical, files, index_dir=tmp_path / 'index')) == 4
        assert len(opened) == count
    assert not (root / '.cloudseg').exists()
    assert len(ZonedDataset.from_files(Optical, files, index_dir=False)) == 4
    assert len(opened) == 4


def test_query_in_the_crs_of_the_container(root: Path) -> None:
    zoned = ZonedDataset.from_files(Optical, root)
    assert zoned.crs.to_epsg() == 6933
    for outline in zoned.index.geometry[:5]:  # GDAL does not warp across the antimeridian
        place = outline.centroid
        sample = zoned[place.x - 100 : place.x + 100, place.y - 100 : place.y + 100]
        assert sample['image'].shape == (3, 20, 20)
        assert (sample['image'] > 0).all()
    footprints = zoned.footprints()
    spans = footprints.geometry.bounds['maxx'] - footprints.geometry.bounds['minx']
    assert sorted(spans > 180) == [False] * 5 + [True]
    assert footprints.to_crs(6933).area.to_list() == pytest.approx([700 * 600] * 6, rel=5e-3)


def test_joined_data_sets(root: Path) -> None:
    class Labels(RasterDataset):
        filename_glob = 'T*_B02.tif'
        is_image = False

    parts = zip(datasets_by_crs(Optical, root), datasets_by_crs(Labels, root), strict=True)
    zoned = ZonedDataset([images & labels for images, labels in parts])
    sampler = RandomSceneSampler(zoned, 20, length=6)
    before = [zoned[query] for query in sampler]
    place = zoned.index.geometry.iloc[0].centroid
    warped = zoned[place.x - 100 : place.x + 100, place.y - 100 : place.y + 100]
    assert warped['image'].shape == (3, 20, 20)
    assert warped['mask'].shape == (20, 20)
    # what was warped is not what samplers draw from
    for query, expected in zip(sampler, before, strict=True):
        assert torch.equal(zoned[query]['image'], expected['image'])
        assert torch.equal(zoned[query]['mask'], expected['mask'])
        assert (expected['mask'] > 0).all()


def test_files_that_cannot_be_opened_are_named(root: Path) -> None:
    # TorchGeo leaves them out
    broken = [root / f'optical_{tile}_20200601.tif' for tile in ('33TWM', '60KXF')]
    os.truncate(broken[0], 100)
    broken[1].write_bytes(b'')
    with pytest.raises(ScenesError) as error:
        ZonedDataset.from_files(Optical, root)
    assert {problem.path for problem in error.value.problems} == set(map(str, broken))
    assert 'filename_glob' in error.value.problems[0].remedy


def test_file_without_a_crs(root: Path) -> None:
    path = root / 'optical_33TWM_20200609.tif'
    with rasterio.open(path, 'w', 'GTiff', 9, 9, count=3, dtype='uint16') as raster:
        raster.write(np.ones((3, 9, 9), np.uint16))
    with pytest.raises(ScenesError, match=f'{path.name}: found no CRS'):
        ZonedDataset.from_files(Optical, root)


def test_other_files_are_left_alone(root: Path) -> None:
    for name in ('notes.txt', 'optical_old.tif', 'optical_33TWM_20200601.tif.aux.xml'):
        (root / name).write_text('')
    assert len(ZonedDataset.from_files(Optical, root)) == 6
    files = sorted(root.glob('optical_33TWM_*.tif*'))
    assert len(files) == 3
    everything = ZonedDataset.from_files(RasterDataset, files)
    assert len(everything) == 2


@pytest.mark.parametrize('content', [None, 'notes.txt'])
def test_nothing_there(tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / content).write_text('')
    with pytest.raises(DatasetNotFoundError, match=str(tmp_path)):
        ZonedDataset.from_files(Optical, tmp_path)


def test_warping_is_asked_for_otherwise(root: Path) -> None:
    with pytest.raises(ValueError, match=r'Optical\(paths, crs=...\)'):
        datasets_by_crs(Optical, root, crs='EPSG:4326')
