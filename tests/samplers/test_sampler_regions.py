"""Regions and times of interest."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from torchgeo.datasets import GeoDataset

from torchgeo_cloudseg.datasets import ZonedDataset
from torchgeo_cloudseg.samplers import (
    CenterSceneSampler,
    GridSceneSampler,
    RandomSceneSampler,
    TileSceneSampler,
)

Make = Callable[..., GeoDataset]

#: Longitude and latitude of scenes of 900 m: both ends of the globe, both hemispheres.
PLACES = {32601: (-179.9, 62.0), 32633: (15.0, 47.0), 32733: (13.5, -9.0), 32760: (179.9, -17.0)}


@pytest.fixture(scope='module')
def zoned(outlines: Make) -> ZonedDataset:
    """One scene in each of four zones."""
    parts = []
    for zone, place in PLACES.items():
        point = gpd.GeoSeries([shapely.Point(place)], crs='EPSG:4326').to_crs(zone).iloc[0]
        box = round(point.x) - 450, round(point.y) + 450, 900, 900
        parts.append(outlines(box, crs=f'EPSG:{zone}'))
    return ZonedDataset(parts)


def zones(dataset: GeoDataset, **kwargs: object) -> list[int]:
    """Zones from which a sampler draws."""
    numbers = {query.zone for query in CenterSceneSampler(dataset, 100, **kwargs)}
    return [list(PLACES)[number] for number in sorted(numbers)]


@pytest.mark.parametrize(
    ('roi', 'expected'),
    [
        (shapely.box(-180, -90, 180, 90), [32601, 32633, 32733, 32760]),
        (shapely.box(-180, 0, 180, 90), [32601, 32633]),
        (shapely.box(-20, -60, 60, 60), [32633, 32733]),
        (shapely.box(0, -60, 180, 0), [32733, 32760]),
        (shapely.box(14.999, 46.999, 15.001, 47.001), [32633]),
        (shapely.box(-180, 50, -170, 70), [32601]),
    ],
)
def test_region_in_degrees(zoned: ZonedDataset, roi: object, expected: list[int]) -> None:
    assert zones(zoned, roi=roi, roi_crs='EPSG:4326') == expected


def test_region_is_in_the_crs_of_the_data_set_unless_stated(zoned: ZonedDataset) -> None:
    outline = zoned.index.geometry.iloc[2]
    assert zones(zoned, roi=outline) == [32733]
    # one zone's meters mean nothing in another one
    utm = zoned.zone_datasets[1].index.geometry.iloc[0]
    assert zones(zoned, roi=utm, roi_crs='EPSG:32633') == [32633]
    assert zones(zoned.zone_datasets[1], roi=utm) == [32601]  # the first and only one


@pytest.mark.parametrize('sampler', [RandomSceneSampler, GridSceneSampler, CenterSceneSampler])
def test_region_without_scenes_is_an_error(zoned: ZonedDataset, sampler: type) -> None:
    with pytest.raises(ValueError, match=r'of 4 scenes none lies in roi=POLYGON'):
        sampler(zoned, 100, roi=shapely.box(100, 0, 110, 10), roi_crs='EPSG:4326')
    areas = zoned.index.geometry
    with pytest.raises(TypeError, match=r'GeoSeries.*roi=areas\.union_all\(\)'):
        sampler(zoned, 100, roi=areas)
    assert len(zones(zoned, roi=areas.union_all(), roi_crs=areas.crs)) == 4


@pytest.mark.parametrize('sampler', [RandomSceneSampler, GridSceneSampler, CenterSceneSampler])
def test_time_of_interest(outlines: Make, sampler: type) -> None:
    dataset = outlines((0, 900, 300, 300), (900, 900, 300, 300), years=(2019, 2020))
    toi = pd.Interval(pd.Timestamp('2020-06-01'), pd.Timestamp('2020-07-01'))
    drawn = list(sampler(dataset, 100, toi=toi))
    assert drawn
    assert all(x.start >= 900 and t.start.year == 2020 for x, _, t in drawn)
    never = pd.Interval(pd.Timestamp('2021-06-01'), pd.Timestamp('2021-07-01'))
    with pytest.raises(ValueError, match='none lies in'):
        sampler(dataset, 100, toi=never)


def test_region_and_time_together(outlines: Make) -> None:
    dataset = outlines(
        (500_000, 900, 300, 300), (500_000, 900, 300, 300), (600_000, 900, 300, 300),
        years=(2019, 2020, 2020),
    )  # fmt: skip
    toi = pd.Interval(pd.Timestamp('2020-06-01'), pd.Timestamp('2020-07-01'))
    roi = shapely.box(400_000, 0, 550_000, 1000)
    (query,) = CenterSceneSampler(dataset, roi=roi, toi=toi)
    assert (query[0].start, query[2].start.year) == (500_000, 2020)


def test_resolution_of_its_own(outlines: Make) -> None:
    """A scene that differs by a hair from the data set's resolution keeps its own."""
    dataset = outlines((0, 900, 300, 300))
    dataset.index['xres'], dataset.index['yres'] = 300 / 299, 300 / 299
    x, y, _ = next(iter(CenterSceneSampler(dataset)))
    assert x.step == y.step == 300 / 299
    assert (x.stop, y.start) == (pytest.approx(300), pytest.approx(600))


SAMPLERS = [
    (RandomSceneSampler, {'length': 300}),
    (GridSceneSampler, {'stride': 7}),
    (CenterSceneSampler, {}),
    (TileSceneSampler, {}),
]


@pytest.mark.parametrize(('sampler', 'options'), SAMPLERS)
def test_region_bounds_patches(outlines: Make, sampler: type, options: dict[str, int]) -> None:
    """Patches of two regions that share an oblique border, across two scenes, never overlap."""
    dataset = outlines((0, 300, 300, 300), (300, 300, 300, 300))
    west = shapely.Polygon([(-10, -10), (-10, 310), (420.3, 310), (180.4, -10)])
    east = shapely.box(-10, -10, 700, 310) - west
    pixels = np.zeros((2, 300, 600), int)
    for count, region in zip(pixels, (west, east), strict=True):
        for x, y, _ in sampler(dataset, 40, roi=region, **options):
            assert shapely.covers(
                region.buffer(0.15), shapely.box(x.start, y.start, x.stop, y.stop)
            )
            count[int(300 - y.stop) : int(300 - y.start), int(x.start) : int(x.stop)] += 1
        assert count.any()
    assert not pixels.all(axis=0).any()


def test_every_corner_within_a_region_is_drawn(outlines: Make) -> None:
    dataset = outlines((0, 60, 60, 60), step=5)
    hole = shapely.box(24, 24, 31, 33)
    region = shapely.Point(30, 30).buffer(28) - hole
    corners = [(row, col) for row in range(0, 51, 5) for col in range(0, 51, 5)]
    legal = {
        (row, col)
        for row, col in corners
        if shapely.covers(region, shapely.box(col, 50 - row, col + 10, 60 - row))
    }
    sampler = RandomSceneSampler(dataset, 10, length=200 * len(legal), roi=region)
    count = Counter(map(tuple, sampler.patches()[['row', 'col']].to_numpy().tolist()))
    assert set(count) == legal
    assert 30 < len(legal) < 90
    # 200 of each are expected, with a deviation of 14
    assert 140 < min(count.values()) <= max(count.values()) < 260


@pytest.mark.slow
def test_region_of_everything_changes_nothing(zoned: ZonedDataset) -> None:
    everywhere = {'roi': shapely.box(-180, -90, 180, 90), 'roi_crs': 'EPSG:4326'}
    for sampler, options in SAMPLERS:
        free = sampler(zoned, 100, **options)
        assert list(sampler(zoned, 100, **options, **everywhere)) == list(free)


def test_region_with_an_edge_in_a_scene_at_the_antimeridian(outlines: Make) -> None:
    # the scene lies on both sides of the antimeridian, and so does the region's southern edge
    center = gpd.GeoSeries([shapely.Point(180, 62)], crs='EPSG:4326').to_crs(32660).iloc[0]
    left, top = round(center.x) - 450, round(center.y) + 450
    dataset = outlines((left, top, 900, 900), crs='EPSG:32660')
    west, _, east, _ = dataset.index.to_crs('EPSG:4326').total_bounds
    assert east - west > 180
    roi = shapely.box(-180, 62, 180, 90)
    queries = list(GridSceneSampler(dataset, 100, 50, roi=roi, roi_crs='EPSG:4326'))
    # all columns of the northern half; the parallel is not quite horizontal
    assert {x.start - left for x, _, _ in queries} == set(range(0, 801, 50))
    assert {top - y.start for _, y, _ in queries} == set(range(100, 451, 50))


def test_region_smaller_than_a_patch(outlines: Make) -> None:
    dataset = outlines((0, 300, 300, 300))
    for sampler, options in SAMPLERS:
        with pytest.raises(ValueError, match=rf'{sampler.__name__}: no patch lies within'):
            sampler(dataset, 40, roi=shapely.box(10, 10, 30, 200), **options)


def test_queries_say_their_crs(zoned: ZonedDataset) -> None:
    queries = list(CenterSceneSampler(zoned, 100))
    assert [query.crs for query in queries] == [f'EPSG:{zone}' for zone in PLACES]
    again = pickle.loads(pickle.dumps(queries))
    assert again == queries
    assert [query.crs for query in again] == [query.crs for query in queries]


@pytest.mark.parametrize('size', [np.int64(40), 40.0, (40, np.float32(40)), np.array([40, 40])])
def test_whole_numbers_of_any_type(outlines: Make, size: Any) -> None:
    dataset = outlines((0, 300, 300, 300))
    for sampler, options in SAMPLERS:
        whole = {name: type(size)(value) if np.ndim(size) == 0 else value
                 for name, value in options.items()}  # fmt: skip
        assert list(sampler(dataset, size, **whole)) == list(sampler(dataset, 40, **options))


@pytest.mark.parametrize('size', [40.5, (40, 0), -1, float('nan'), float('inf'), 'many'])
def test_sizes_that_are_no_pixels(outlines: Make, size: Any) -> None:
    for sampler, _ in SAMPLERS:
        with pytest.raises(
            ValueError, match=r'size=.* at least one pixel on each side, and a whol'
        ):
            sampler(outlines((0, 300, 300, 300)), size)


def test_regions_and_times_that_are_none(zoned: ZonedDataset) -> None:
    left, bottom, right, top = zoned.index.total_bounds
    knot = shapely.Polygon([(left, bottom), (right, top), (right, bottom), (left, top)])
    for sampler, options in SAMPLERS:
        with pytest.raises(ValueError, match=r'roi is no valid shape.*make_valid'):
            sampler(zoned, 40, roi=knot, **options)
        for toi in (pd.Timestamp('2020'), '2020', ('2021', '2020'), (pd.NaT, None), ('2020',)):
            with pytest.raises(ValueError, match=r'toi=.*expected a start and a later stop'):
                sampler(zoned, 40, toi=toi, **options)


def test_shuffled_epochs(outlines: Make) -> None:
    """The same patches in another order in every epoch, the same one on all ranks."""
    dataset = outlines((0, 300, 300, 300))
    plain = list(GridSceneSampler(dataset, 50))
    sampler = GridSceneSampler(dataset, 50, shuffle=True, seed=3)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert orders[-1] != plain
        assert sorted(map(str, orders[-1])) == sorted(map(str, plain))
    assert orders[0] == orders[2] != orders[1]
    ranks = [
        list(GridSceneSampler(dataset, 50, shuffle=True, seed=3, num_replicas=2, rank=rank))
        for rank in range(2)
    ]
    assert ranks == [orders[0][::2], orders[0][1::2]]
