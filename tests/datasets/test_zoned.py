"""Scenes in several UTM zones: each read on its own grid, all indexed together."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from rasterio.transform import Affine
from rasterio.warp import transform_bounds
from rasterio.windows import Window, from_bounds
from torch.utils.data import DataLoader
from torchgeo.datasets import RasterDataset, random_bbox_assignment, roi_split, stack_samples

from torchgeo_cloudseg.datasets import M3MCR, SceneSlice, ZonedDataset
from torchgeo_cloudseg.datasets.legend import label_codes
from torchgeo_cloudseg.miniature import write_miniature_m3mcr
from torchgeo_cloudseg.samplers import CenterSceneSampler, GridSceneSampler, RandomSceneSampler

Find = Callable[..., Path]

#: The first zone and the last one, north and south.
ZONES = (32601, 32660, 32733, 32760)

#: Areas by zone: their names, and the longitude to which their middle is moved (None: nowhere).
AREAS = {32601: 'fall_1', 32660: 'spring_2', 32733: 'summer_3', 32760: 'winter_4'}
ANTIMERIDIAN = {32601: -180.0, 32760: 180.0}

KEYS = tuple(M3MCR.layers)


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An area in each of four zones; the first and the last lie across the antimeridian."""
    root = write_miniature_m3mcr(
        tmp_path_factory.mktemp('zones'),
        train_areas=4, test_areas=0, patches_per_area=2, zones=ZONES, progress=False,
    )  # fmt: skip
    for zone, longitude in ANTIMERIDIAN.items():
        move(root, AREAS[zone], longitude)
    return root


def move(root: Path, area: str, longitude: float) -> None:
    """Move an area of two patches side by side, so that its middle is at a longitude."""
    files = sorted(root.rglob(f'*_{area}_p_*.tif'))
    left = []
    for file in files:
        with rasterio.open(file) as raster:
            left.append(raster.bounds.left)
            to_utm = pyproj.Transformer.from_crs('EPSG:4326', raster.crs, always_xy=True)
            target = to_utm.transform(longitude, raster.lnglat()[1])[0]
    by = round((target - 900 - min(left)) / 30) * 30
    for file in files:
        with rasterio.open(file, 'r+') as raster:
            raster.transform = Affine.translation(by, 0) @ raster.transform


@pytest.fixture(scope='module')
def zoned(root: Path) -> ZonedDataset:
    return M3MCR.zoned(root, val_share=0)


def scenes(zoned: ZonedDataset) -> Iterator[tuple[str, SceneSlice]]:
    """Names of all scenes, and queries for the whole of them."""
    for query in CenterSceneSampler(zoned):
        yield str(query.scene), query


def direct(path: Path, query: SceneSlice) -> np.ndarray:
    """The pixels that rasterio finds in a file at the place of a query."""
    x, y, _ = query
    with rasterio.open(path) as raster:
        window = from_bounds(x.start, y.start, x.stop, y.stop, raster.transform)
        # grids of 3 m and 10 m lie up to 2 m apart
        return raster.read(window=Window(*map(round, window.flatten())))


def test_one_call_gives_all_zones(zoned: ZonedDataset) -> None:
    assert [dataset.crs.to_epsg() for dataset in zoned.zone_datasets] == sorted(ZONES)
    assert len(zoned) == 8
    assert zoned.crs.to_epsg() == 6933
    assert zoned.grid_step_px == 10
    assert {name.rpartition('_p_')[0] for name, _ in scenes(zoned)} == set(AREAS.values())


@pytest.mark.slow
@given(data=st.data())
def test_every_patch_is_what_the_files_hold_there(
    zoned: ZonedDataset, root: Path, find: Find, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, 30)) * 10, data.draw(st.integers(1, 30)) * 10
    sampler = RandomSceneSampler(zoned, size, length=4, seed=data.draw(st.integers(0, 2**32)))
    for query in sampler:
        sample = zoned[query]
        for key in ('image', 'image_clear'):
            np.testing.assert_array_equal(
                sample[key].numpy(), direct(find(root, key, query.scene), query)
            )
        codes = direct(find(root, 'mask', query.scene), query)[0]
        table = label_codes(M3MCR.legend, M3MCR.unknown_codes, 255)
        np.testing.assert_array_equal(sample['mask'].numpy(), table.to_classes('', codes))
        radar = direct(find(root, 'image_sar', query.scene), query).astype(np.float32)
        rows, cols = (np.floor((np.arange(side) + 0.5) * 0.3).astype(int) for side in size)
        np.testing.assert_array_equal(sample['image_sar'].numpy(), radar[:, rows][:, :, cols])


@given(data=st.data())
def test_any_offset_and_size_of_optical_pixels(
    zoned: ZonedDataset, root: Path, find: Find, data: st.DataObject
) -> None:
    height, width = data.draw(st.tuples(st.integers(1, 300), st.integers(1, 300)))
    seed = data.draw(st.integers(0, 2**32))
    (query,) = RandomSceneSampler(zoned, (height, width), length=1, step=1, seed=seed)
    sample = zoned[query]
    optical = direct(find(root, 'image', query.scene), query)
    assert optical.shape == (4, height, width)
    np.testing.assert_array_equal(sample['image'].numpy(), optical)
    # nearest neighbor: the SAR pixel in which the center of the optical pixel lies
    with rasterio.open(find(root, 'image_clear', query.scene)) as raster:
        row = round((raster.bounds.top - query[1].stop) / 3)
        col = round((query[0].start - raster.bounds.left) / 3)
    with rasterio.open(find(root, 'image_sar', query.scene)) as raster:
        radar = raster.read().astype(np.float32)
    rows = (2 * (row + np.arange(height)) + 1) * 3 // 20
    cols = (2 * (col + np.arange(width)) + 1) * 3 // 20
    np.testing.assert_array_equal(sample['image_sar'].numpy(), radar[:, rows][:, :, cols])
    mask = np.load(find(root, 'mask_cloud', query.scene))[row : row + height, col : col + width]
    np.testing.assert_array_equal(sample['mask_cloud'].numpy(), mask)


def test_samples_say_where_they_are(zoned: ZonedDataset, root: Path, find: Find) -> None:
    positions = set()
    for name, query in scenes(zoned):
        sample = zoned[query]
        with rasterio.open(find(root, 'image_clear', name)) as raster:
            assert sample['epsg'].tolist() == [raster.crs.to_epsg()]
            assert sample['transform'].tolist() == list(raster.transform)
            assert AREAS[raster.crs.to_epsg()] == name.rpartition('_p_')[0]
        assert zoned.zone_datasets[int(sample['zone'])].crs.to_epsg() == int(sample['epsg'])
        positions.add(int(sample['scene']))
    assert positions == set(range(8))


def test_batches_mix_zones(zoned: ZonedDataset) -> None:
    sampler = RandomSceneSampler(zoned, 160)
    (batch,) = DataLoader(zoned, batch_size=8, sampler=sampler, collate_fn=stack_samples)
    assert batch['image'].shape == (8, 4, 160, 160)
    assert set(batch['epsg'].ravel().tolist()) == set(ZONES)


@pytest.mark.slow
@pytest.mark.parametrize('context', ['fork', 'spawn'])
def test_workers_give_the_same(zoned: ZonedDataset, context: str) -> None:
    list(scenes(zoned))
    zoned[next(iter(GridSceneSampler(zoned, 100)))]  # files are open before the fork

    def load(**kwargs: Any) -> list[dict[str, Any]]:
        sampler = RandomSceneSampler(zoned, 160, length=12, seed=2)
        return list(
            DataLoader(zoned, batch_size=4, sampler=sampler, collate_fn=stack_samples, **kwargs)
        )

    workers = 2 if context == 'fork' else 1
    parallel = load(num_workers=workers, multiprocessing_context=context)
    for ours, expected in zip(parallel, load(), strict=True):
        for key in (*KEYS, 'scene', 'epsg', 'zone', 'transform'):
            assert torch.equal(ours[key], expected[key]), key


def test_worker_gets_the_index_as_a_compact_table(zoned: ZonedDataset) -> None:
    # objects for all scenes and files would be many times as large
    for dataset in zoned.zone_datasets:
        _ = dataset.scenes[0]
        assert 'scenes' not in dataset.__getstate__()
    other = pickle.loads(pickle.dumps(zoned))
    _, query = next(scenes(zoned))
    assert torch.equal(other[query]['image'], zoned[query]['image'])


def test_index_in_degrees(zoned: ZonedDataset, root: Path, find: Find) -> None:
    footprints = zoned.footprints()
    assert footprints.crs.to_epsg() == 4326
    assert len(footprints) == 8
    for name, outline in zip(footprints['scene'], footprints.geometry, strict=True):
        with rasterio.open(find(root, 'image_clear', name)) as raster:
            bounds = transform_bounds(raster.crs, 'EPSG:4326', *raster.bounds, densify_pts=9)
        west, south, east, north = outline.bounds
        if bounds[0] > bounds[2]:  # rasterio's sign that it lies across the antimeridian
            assert (west, east) == (-180, 180)
            parts = shapely.get_parts(outline)
            assert len(parts) == 2
            assert max(part.bounds[2] - part.bounds[0] for part in parts) < 0.03
        else:
            np.testing.assert_allclose(outline.bounds, bounds, atol=1e-6)
        assert north - south < 0.01


def test_scenes_across_the_antimeridian_keep_their_area(zoned: ZonedDataset) -> None:
    # the container's CRS is of equal area; UTM's own scale is within 0.1 % of 1
    for outline in zoned.index.geometry:
        assert outline.area == pytest.approx(900 * 900, rel=3e-3)
    wide = {
        zone
        for zone, (west, _, east, _) in zip(
            zoned.index['zone'], zoned.footprints().geometry.bounds.to_numpy(), strict=True
        )
        if east - west > 180
    }
    assert {sorted(ZONES)[zone] for zone in wide} <= set(ANTIMERIDIAN)


@pytest.mark.parametrize('area', AREAS.values())
def test_plain_query_in_the_crs_of_the_container(
    zoned: ZonedDataset, root: Path, find: Find, area: str
) -> None:
    name = f'{area}_p_2'
    outline = zoned.index.geometry[(zoned.index['scene'] == name).to_numpy()].iloc[0]
    # in the middle of the largest part, where the antimeridian cuts the scene in two
    middle = max(shapely.get_parts(outline), key=shapely.area).centroid
    rows, cols = np.mgrid[:40, :30]
    left, top = middle.x - 45, middle.y + 60
    sample = zoned[left : left + 90 : 3, top - 120 : top : 3]
    assert sample['image'].shape == (4, 40, 30)
    with rasterio.open(find(root, 'image_clear', name)) as raster:
        to_utm = pyproj.Transformer.from_crs(zoned.crs, raster.crs, always_xy=True)
        x, y = to_utm.transform(left + 3 * (cols + 0.5), top - 3 * (rows + 0.5))
        col, row = ~raster.transform @ (x, y)
    inside = (row > 1) & (row < 299) & (col > 1) & (col < 299)
    assert inside.mean() > 0.4
    mask = np.load(find(root, 'mask_cloud', name))
    expected = mask[row[inside].astype(int), col[inside].astype(int)]
    # GDAL takes another pixel where the center lies on the line between two
    assert (sample['mask_cloud'].numpy()[inside] == expected).mean() > 0.99
    with rasterio.open(find(root, 'image_clear', name)) as raster:
        stored = raster.read(1)[row[inside].astype(int), col[inside].astype(int)]
    ratio = sample['image_clear'][0].numpy()[inside].mean() / stored.mean()
    assert ratio == pytest.approx(1, abs=0.03)


def test_plain_query_where_there_is_nothing(zoned: ZonedDataset) -> None:
    with pytest.raises(IndexError, match='not found'):
        zoned[0:90, 0:90]


def test_region_of_interest(zoned: ZonedDataset) -> None:
    south = shapely.box(-180, -90, 180, 0)
    drawn = list(RandomSceneSampler(zoned, 160, 20, roi=south, roi_crs='EPSG:4326'))
    assert {int(zoned[query]['epsg']) for query in drawn} == {32733, 32760}
    # both sides of the antimeridian
    fiji = shapely.box(179.99, -90, 180, 0), shapely.box(-180, -90, -179.99, 0)
    for roi in fiji:
        # a region bounds the patches: a whole scene is on both sides
        found = list(RandomSceneSampler(zoned, 60, 20, roi=roi, roi_crs='EPSG:4326'))
        assert found
        assert {int(zoned[query]['epsg']) for query in found} == {32760}


def test_other_crs_of_the_index(root: Path) -> None:
    zoned = M3MCR.zoned(root, val_share=0, crs='EPSG:4326', modalities=['mask'])
    assert zoned.crs.to_epsg() == 4326
    name, query = next(scenes(zoned))
    assert zoned[query]['mask'].shape == (90, 90)
    assert name == 'fall_1_p_1'


def test_plot(zoned: ZonedDataset) -> None:
    _, query = next(scenes(zoned))
    figure = zoned.plot(zoned[query], suptitle='A zone')
    assert figure.get_suptitle() == 'A zone'
    plt.close(figure)


class Clear(RasterDataset):
    """Any RasterDataset will do."""

    filename_glob = 'planet_cloudfree_*.tif'
    filename_regex = r'.*'
    date_format = ''


def test_container_of_plain_raster_datasets(root: Path, find: Find) -> None:
    parts = [
        Clear(sorted(str(file) for file in root.rglob(f'planet_cloudfree_{area}_p_*')))
        for area in AREAS.values()
    ]
    zoned = ZonedDataset(parts)
    assert len(zoned) == 8
    assert len(list(GridSceneSampler(zoned, 100))) == 8 * 9
    assert zoned.grid_step_px == 1
    for query in RandomSceneSampler(zoned, 50, length=12, step=1):
        sample = zoned[query]
        x, y, _ = query
        expected = [
            direct(Path(file), query)
            for file in zoned.zone_datasets[query.zone].index['filepath']
            if inside(file, x, y)
        ]
        np.testing.assert_array_equal(sample['image'].numpy(), expected[0])
    middle = zoned.index.geometry.iloc[4].centroid
    warped = zoned[middle.x - 60 : middle.x + 60, middle.y - 60 : middle.y + 60]
    assert (warped['image'] > 0).all()


def inside(file: str, x: slice, y: slice) -> bool:
    with rasterio.open(file) as raster:
        left, bottom, right, top = raster.bounds
    return left <= x.start and x.stop <= right and bottom <= y.start and y.stop <= top


def test_container_of_nothing() -> None:
    with pytest.raises(ValueError, match='at least one'):
        ZonedDataset([])


def names(zoned: ZonedDataset) -> set[str]:
    return {name for name, _ in scenes(zoned)}


def test_filtered_index_is_what_samplers_see(zoned: ZonedDataset, root: Path) -> None:
    chosen = copy.deepcopy(zoned)
    chosen.index = chosen.index[chosen.index['scene'].str.endswith('_p_1').to_numpy()]
    assert names(chosen) == {f'{area}_p_1' for area in AREAS.values()}
    assert sum(len(part) for part in chosen.zone_datasets) == len(chosen) == 4
    # back to all
    assert names(zoned) == {f'{area}_p_{patch}' for area in AREAS.values() for patch in (1, 2)}
    # plain queries find what is left, and nothing else
    outlines = zoned.index.set_index('scene').geometry
    for name, found in (('summer_3_p_1', True), ('spring_2_p_2', False)):
        place = outlines[name].centroid
        query = slice(place.x - 9, place.x + 9, 3), slice(place.y - 9, place.y + 9, 3)
        if found:
            assert (chosen[query]['image'] > 0).all()
        else:
            with pytest.raises(IndexError, match='not found'):
                chosen[query]


def test_torchgeos_splits_divide_the_scenes(zoned: ZonedDataset) -> None:
    generator = torch.Generator().manual_seed(0)
    train, test = random_bbox_assignment(zoned, [6, 2], generator)
    assert names(train) | names(test) == names(zoned)
    assert not names(train) & names(test)
    for part in (train, test):
        for name, query in scenes(part):
            sample = part[query]
            assert part.scene_names[int(sample['scene'])] == name
            assert torch.equal(sample['image'], zoned[query]['image'])


def test_clipped_index_bounds_the_patches(zoned: ZonedDataset, root: Path, find: Find) -> None:
    name = 'spring_2_p_1'
    outline = zoned.index.geometry[(zoned.index['scene'] == name).to_numpy()].iloc[0]
    west, south, east, north = outline.bounds
    middle = (west + east) / 2
    halves = shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)
    for half, part in zip(halves, roi_split(zoned, halves), strict=True):
        assert names(part) >= {name}
        zone = next(
            dataset for dataset in part.zone_datasets if name in set(dataset.index['scene'])
        )
        native = zone.index.geometry[(zone.index['scene'] == name).to_numpy()].iloc[0]
        # of 900 m x 900 m
        assert native.area == pytest.approx(405_000, rel=0.02)
        assert shapely.area(project_one(native, zone.crs).intersection(half)) == pytest.approx(
            native.area, rel=0.01
        )


def project_one(outline: Any, crs: pyproj.CRS) -> Any:
    return gpd.GeoSeries([outline], crs=crs).to_crs('EPSG:6933').iloc[0]


def test_crs_and_resolution_of_the_container_reach_plain_queries(root: Path) -> None:
    zoned = M3MCR.zoned(root, val_share=0, modalities=['mask_cloud'])
    before = len(zoned)
    zoned.crs = pyproj.CRS('EPSG:3857')
    zoned.res = (10.0, 10.0)
    place = (
        zoned.index.geometry[(zoned.index['scene'] == 'summer_3_p_1').to_numpy()].iloc[0].centroid
    )
    sample = zoned[place.x - 100 : place.x + 100, place.y - 100 : place.y + 100]
    assert sample['mask_cloud'].shape == (20, 20)
    assert int(sample['epsg']) == 3857
    assert len(zoned) == before


def test_real_patch_through_the_container(real_root: Path) -> None:
    plain, zoned = M3MCR(real_root), M3MCR.zoned(real_root)
    (query,) = CenterSceneSampler(zoned)
    sample, expected = zoned[query], plain[query]
    assert all(torch.equal(sample[key], expected[key]) for key in KEYS)
    assert (sample['image'] > 0).any()
