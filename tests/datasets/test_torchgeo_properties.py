"""What TorchGeo asks of a GeoDataset, of joins and of samplers, asked of the data sets here."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyproj
import pytest
import shapely
import torch
from ground import WEST, Ground, Labels, corner, write_labels, write_scene
from helpers import GridPatches, RandomPatches
from torch.utils.data import ConcatDataset, DataLoader
from torchgeo import samplers
from torchgeo.datasets import (
    DatasetNotFoundError,
    GeoDataset,
    IntersectionDataset,
    RasterDataset,
    UnionDataset,
    concat_samples,
    random_bbox_assignment,
    random_bbox_splitting,
    random_grid_cell_assignment,
    roi_split,
    stack_samples,
    time_series_split,
)

from torchgeo_cloudseg.datasets import ZonedDataset

pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')

Make = Callable[[Path], Any]

KINDS: dict[str, Make] = {
    'scenes': lambda root: Ground(root, val_share=0),
    'container': lambda root: Ground.zoned(root, val_share=0),
    'container of one CRS': lambda root: Ground.zoned(root, val_share=0, crs=WEST),
}


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes side by side, with gaps."""
    root = tmp_path_factory.mktemp('ground')
    for number in range(3):
        write_scene(root, f's{number}', WEST, corner(WEST, -3000 + 700 * number, 400))
    write_labels(root / 'labels/all.tif', WEST, corner(WEST, -3200, 600), (100, 260))
    return root


@pytest.fixture(params=KINDS)
def dataset(request: pytest.FixtureRequest, root: Path) -> Any:
    return KINDS[request.param](root)


def middle(dataset: GeoDataset) -> tuple[slice, slice]:
    """A query within the first scene."""
    place, res = dataset.index.geometry.iloc[0].centroid, dataset.res
    return (
        slice(place.x - 8 * res[0], place.x + 8 * res[0], res[0]),
        slice(place.y - 8 * res[1], place.y + 8 * res[1], res[1]),
    )


def test_what_it_is(dataset: Any) -> None:
    assert isinstance(dataset, GeoDataset)
    assert len(dataset) == len(dataset.index) == 3
    assert isinstance(dataset.index.index, pd.IntervalIndex)
    assert dataset.index.index.name == 'datetime'
    assert isinstance(dataset.crs, pyproj.CRS)
    assert dataset.res == (10, 10)
    x, y, t = dataset.bounds
    assert (x.start, y.start, x.stop, y.stop) == tuple(dataset.index.total_bounds)
    assert (x.step, y.step, t.step) == (10, 10, 1)
    assert 'type: GeoDataset' in str(dataset)
    assert 'size: 3' in str(dataset)
    assert dataset.__add__ is None
    with pytest.raises(TypeError):
        dataset + dataset


def test_every_way_to_write_a_query(dataset: Any) -> None:
    x, y = middle(dataset)
    t = dataset.bounds[2]
    expected = dataset[x, y, t]
    assert isinstance(expected, dict)
    assert expected['image'].shape == (2, 16, 16)
    for query in (
        (x, y),
        (slice(x.start, x.stop), slice(y.start, y.stop)),
        (x, y, slice(None)),
        (x, y, slice(t.start, None)),
    ):
        assert torch.equal(dataset[query]['image'], expected['image'])
    whole = dataset[:, :]
    assert whole['image'].shape[1:] == tuple(
        round((side.stop - side.start) / 10) for side in dataset.bounds[1::-1]
    )
    assert torch.equal(dataset[:]['mask'], whole['mask'])
    assert dataset[x.start : x.stop]['image'].shape[2] == 16
    half = dataset[x.start : x.stop : 20, y.start : y.stop : 20]
    assert half['image'].shape == (2, 8, 8)
    for outside in ((slice(0, 100), slice(0, 100)), (x, slice(0, 100))):
        with pytest.raises(IndexError, match='not found'):
            dataset[outside]


def test_setters(dataset: Any) -> None:
    dataset.crs = pyproj.CRS('EPSG:3857')
    dataset.res = 5
    assert dataset.crs == pyproj.CRS('EPSG:3857')
    assert dataset.index.crs == pyproj.CRS('EPSG:3857')
    assert dataset.res == (5, 5)
    x, y = middle(dataset)
    assert dataset[x, y]['image'].shape == (2, 16, 16)
    before = dataset.index
    dataset.crs = pyproj.CRS('EPSG:3857')
    assert dataset.index is before


def test_copies_and_other_processes(dataset: Any) -> None:
    x, y = middle(dataset)
    for again in (copy.copy(dataset), copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert torch.equal(again[x, y]['image'], dataset[x, y]['image'])
        again.index = again.index.iloc[:1]
        assert len(again) == 1
        assert len(dataset) == 3


def test_transforms(root: Path) -> None:
    def double(sample: dict[str, Any]) -> dict[str, Any]:
        return {**sample, 'image': 2 * sample['image']}

    plain = Ground(root, val_share=0)
    for dataset in (
        Ground(root, val_share=0, transforms=double),
        Ground.zoned(root, val_share=0, crs=WEST, transforms=double),
    ):
        query = middle(plain)
        assert torch.equal(dataset[query]['image'], 2 * plain[query]['image'])


def test_bands(root: Path) -> None:
    whole = Ground(root, val_share=0)
    x, y = middle(whole)
    for bands in (['lat'], ['lat', 'lon']):
        dataset = Ground(root, val_share=0, bands=bands)
        expected = torch.stack([whole[x, y]['image'][('lon', 'lat').index(b)] for b in bands])
        assert torch.equal(dataset[x, y]['image'], expected)
        # a map reads the same bands of the same files
        assert dataset.scene_spec().optical_bands == tuple(
            ('lon', 'lat').index(band) + 1 for band in bands
        )
        assert dataset[x, y]['image_sar'].shape[0] == 1
    with pytest.raises(ValueError, match='bands'):
        Ground(root, bands=['B04'])


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError):
        Ground(tmp_path)
    with pytest.raises(DatasetNotFoundError):
        ZonedDataset.from_files(Labels, tmp_path)


def test_intersections(dataset: Any, root: Path) -> None:
    dataset.index = dataset.index  # a filtered index is the index
    kwargs = {'collate_fn': lambda samples: {**samples[0], 'theirs': samples[1]['mask']}}
    joined = IntersectionDataset(dataset, Labels(root / 'labels'), **kwargs)
    assert len(joined) == 3
    assert joined.crs == dataset.crs
    assert joined.res == dataset.res
    assert 'type: IntersectionDataset' in str(joined)
    x, y = middle(joined)
    sample = joined[x, y]
    same = (sample['mask'] == sample['theirs']) | (sample['mask'] == 255)
    assert same.float().mean() > 0.8
    nested = IntersectionDataset(joined, Labels(root / 'labels'), **kwargs)
    assert nested[x, y]['image'].shape == (2, 16, 16)
    joined.crs, joined.res = pyproj.CRS('EPSG:3857'), 5
    assert all(part.crs == joined.crs and part.res == (5, 5) for part in joined.datasets)


def test_intersections_of_nothing(root: Path, tmp_path: Path) -> None:
    images: dict[str, Any] = {'val_share': 0, 'modalities': ['image']}
    write_labels(tmp_path / 'far.tif', WEST, corner(WEST, 90_000, 0), (8, 8))
    for dataset in (Ground(root, **images), Ground.zoned(root, **images)):
        with pytest.raises(RuntimeError, match='spatial intersection'):
            dataset & Labels(tmp_path)
    later = Labels(root / 'labels')
    time = pd.Interval(pd.Timestamp('2020'), pd.Timestamp('2021'), closed='both')
    later.index = later.index.set_axis(pd.IntervalIndex([time], name='datetime'))
    other = pd.Interval(pd.Timestamp('2010'), pd.Timestamp('2011'), closed='both')
    for dataset in (Ground(root, **images), Ground.zoned(root, **images)):
        dataset.index = dataset.index.set_axis(pd.IntervalIndex([other] * 3, name='datetime'))
        with pytest.raises(RuntimeError, match='temporal intersection'):
            dataset & later


def test_unions(dataset: Any, root: Path) -> None:
    for union in (dataset | copy.deepcopy(dataset), UnionDataset(dataset, copy.deepcopy(dataset))):
        assert len(union) == 6
        assert union.crs == dataset.crs
        x, y = middle(union)
        sample = union[x, y]
        assert torch.equal(sample['image'], dataset[x, y]['image'])
        with pytest.raises(IndexError, match='not found'):
            union[0:100, 0:100]
    assert torch.equal((dataset | dataset | dataset)[x, y]['mask'], dataset[x, y]['mask'])


@pytest.mark.parametrize('stranger', [ConcatDataset([[1]]), 5, None])
def test_joins_with_what_is_no_data_set(dataset: Any, stranger: Any) -> None:
    for join in (lambda: dataset & stranger, lambda: dataset | stranger):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            join()


def test_samples_of_a_join_concatenate_images(root: Path) -> None:
    one = Ground(root, val_share=0, modalities=['image'])
    two = Ground(root, val_share=0, modalities=['image', 'mask'])
    sample = (one & two)[middle(one)]
    assert sample['image'].shape[0] == 4
    assert torch.equal(sample['image'][:2], sample['image'][2:])
    plain = IntersectionDataset(one, two, collate_fn=concat_samples)
    assert plain[middle(one)]['image'].shape[0] == 4


WHOLE = pytest.param(
    'whole',
    marks=pytest.mark.skipif(
        hasattr(samplers, 'RandomPatchSampler'), reason='deprecated since TorchGeo 0.10'
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize('sampler', ['random', 'grid', WHOLE])
def test_samplers(dataset: Any, sampler: str) -> None:
    made: Any = {
        'random': lambda: RandomPatches(dataset, size=16, length=5),
        'grid': lambda: GridPatches(dataset, size=32, stride=32),
        'whole': lambda: samplers.PreChippedGeoSampler(dataset),
    }[sampler]()
    assert len(made) >= 3
    loader = DataLoader(dataset, batch_size=1, sampler=made, collate_fn=stack_samples)
    for batch in loader:
        assert batch['image'].ndim == 4
        assert (batch['image'] > 0).any()


def scenes_of(part: Any) -> set[str]:
    return set(part.index['scene'])


def test_splits(dataset: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    one, two = random_bbox_assignment(dataset, [2, 1], generator)
    assert scenes_of(one) | scenes_of(two) == {'s0', 's1', 's2'}
    assert not scenes_of(one) & scenes_of(two)
    for parts in (
        random_bbox_splitting(dataset, [0.5, 0.5], generator),
        random_grid_cell_assignment(dataset, [0.5, 0.5], 2, generator),
        roi_split(dataset, [dataset.index.geometry.iloc[0], dataset.index.geometry.iloc[1]]),
    ):
        first, second = (shapely.union_all(part.index.geometry.to_numpy()) for part in parts)
        assert first.intersection(second).area < 1e-6 * first.area
        for part in parts:
            assert part.crs == dataset.crs
            assert part[middle(part)]['image'].shape == (2, 16, 16)
    time = pd.Interval(pd.Timestamp('2020'), pd.Timestamp('2021'), closed='both')
    dataset.index = dataset.index.set_axis(pd.IntervalIndex([time] * 3, name='datetime'))
    early, late = time_series_split(dataset, [0.5, 0.5])
    assert early.index.index.right.max() <= late.index.index.left.min()
    assert early[middle(early)]['image'].shape == (2, 16, 16)


def test_a_subclass_of_somebody_else(root: Path) -> None:
    class Mine(Ground):
        """A data set derived from one of ours."""

        ranges = Ground.ranges

    dataset = Mine(root, val_share=0)
    assert isinstance(dataset, RasterDataset)
    assert torch.equal(
        dataset[middle(dataset)]['image'], Ground(root, val_share=0)[middle(dataset)]['image']
    )
