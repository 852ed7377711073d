"""Regions and times of interest."""

from __future__ import annotations

from collections.abc import Callable

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from torchgeo.datasets import GeoDataset

from torchgeo_cloudseg.datasets import ZonedDataset
from torchgeo_cloudseg.samplers import CenterSceneSampler, GridSceneSampler, RandomSceneSampler

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
