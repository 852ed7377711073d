"""Images whose place is stated by points, polynomials, or beyond the edge of the map."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.transform import Affine
from rasterio.warp import transform

from torchgeo_cloudseg.rasters import (
    Grid,
    Image,
    overlap,
    place_text,
    read_header,
    write_cog,
    write_geotiff,
)
from torchgeo_cloudseg.rasters.cog import RasterLayer

#: Longitude, latitude and degrees per pixel.
WEST, NORTH, STEP = 10.0, 50.0, 0.01

#: Pixels of the image that is known by points or polynomials.
SIZE = 40, 60

#: Part of it as a grid: what is wanted.
PART = Grid.north_up('EPSG:4326', (10.1, 49.9), (STEP, STEP), (20, 30))


def points(count: int, west: float = WEST, crs: str = 'EPSG:4326') -> list[GroundControlPoint]:
    """Points *count* x *count*, that make a grid."""
    rows, cols = (np.linspace(0, size, count) for size in SIZE)
    places = [(r, c, west + c * STEP, NORTH - r * STEP) for r in rows for c in cols]
    moved = transform('EPSG:4326', crs, [p[2] for p in places], [p[3] for p in places])
    return [GroundControlPoint(r, c, x, y) for (r, c, *_), x, y in zip(places, *moved, strict=True)]


def polynomials() -> RPC:
    """The same place, up to the pixel's center."""
    zeros = [0.0] * 17
    return RPC(
        height_off=200, height_scale=500, lat_off=49.795, lat_scale=0.2, long_off=10.305,
        long_scale=0.3, line_off=20, line_scale=20, samp_off=30, samp_scale=30,
        line_num_coeff=[0.0, 0.0, -1.0, *zeros], line_den_coeff=[1.0, 0.0, 0.0, *zeros],
        samp_num_coeff=[0.0, 1.0, 0.0, *zeros], samp_den_coeff=[1.0, 0.0, 0.0, *zeros],
    )  # fmt: skip


@pytest.fixture
def pixels() -> np.ndarray:
    return np.arange(2400, dtype=np.float32).reshape(1, *SIZE)


def write(path: Path, pixels: np.ndarray, kind: str) -> Path:
    write_geotiff(path, pixels)
    with rasterio.open(path, 'r+') as raster:
        if kind == 'rpc':
            raster.rpcs = polynomials()
        elif kind == 'utm':
            raster.gcps = points(2, crs='EPSG:32632'), rasterio.CRS.from_epsg(32632)
        else:
            raster.gcps = points(int(kind)), rasterio.CRS.from_epsg(4326)
    return path


@pytest.mark.parametrize('kind', ['2', '4', 'utm', 'rpc'])
def test_points_and_polynomials_say_where_pixels_lie(
    kind: str, pixels: np.ndarray, tmp_path: Path
) -> None:
    path = write(tmp_path / 'image.tif', pixels, kind)
    place = read_header(str(path)).grid
    assert overlap(PART, place)
    assert '(10, 49.6, 10.6, 50) in EPSG' in place_text(place) or kind == 'utm'
    far = PART._replace(transform=Affine.translation(5, 0) @ PART.transform)
    assert not overlap(far, place)
    with closing(Image(path)) as image:
        image.select([1])
        image.warp_to(PART, 'nearest')
        values, has_data = image.measure((0, 20))
    assert has_data.all()
    expected = pixels[:, 10:30, 10:40]
    # four points in another CRS bend otherwise than the meridians
    assert (values == expected).mean() > (0.5 if kind == 'utm' else 0.999)
    assert np.abs(values - expected).max() <= 61 * (kind == 'utm')


@pytest.mark.parametrize('kind', ['2', '4', 'rpc'])
def test_a_grid_of_points_can_be_the_one_that_is_wanted(
    kind: str, pixels: np.ndarray, tmp_path: Path
) -> None:
    target = read_header(str(write(tmp_path / 'target.tif', pixels, kind))).grid
    path = tmp_path / 'image.tif'
    write_geotiff(path, pixels[:, 10:30, 10:40], PART)
    with closing(Image(path)) as image:
        image.select([1])
        image.warp_to(target, 'nearest')
        values, has_data = image.measure((0, 40))
    assert has_data.sum() == 600
    np.testing.assert_array_equal(values[:, 10:30, 10:40], pixels[:, 10:30, 10:40])


@pytest.mark.parametrize('kind', ['4', 'rpc'])
def test_places_are_carried_into_maps_and_parts(
    kind: str, pixels: np.ndarray, tmp_path: Path
) -> None:
    grid = read_header(str(write(tmp_path / 'image.tif', pixels, kind))).grid
    coarse = grid.part((20, 40), (30, 60)).scaled(2, (40, 60))
    layer = RasterLayer(('a',), 'uint8', 255, 'mode')
    rows = [(np.arange(2400) % 250).astype(np.uint8).reshape(1, 40, 60)]
    write_cog(tmp_path, 'map.tif', coarse, layer, rows)
    found = read_header(str(tmp_path / 'map.tif')).grid
    with closing(Image(tmp_path / 'map.tif')) as image:
        image.select([1])
        place = Grid.north_up('EPSG:4326', (10.3, 49.8), (STEP / 2, STEP / 2), (40, 60))
        image.warp_to(place, 'nearest')
        np.testing.assert_array_equal(image.measure((0, 40))[0], rows[0].astype(np.float32))
    assert bool(found.control.points) == (kind == '4')


ANTIMERIDIAN = {
    'utm': Grid.north_up('EPSG:32601', (121_071.0, 1_156_908.0), (1000.0, 1000.0), (100, 100)),
    'east': Grid.north_up('EPSG:4326', (179.5, 10.5), (0.01, 0.01), (100, 100)),
    'west': Grid.north_up('EPSG:4326', (-180.5, 10.5), (0.01, 0.01), (100, 100)),
}


@pytest.mark.parametrize(('source', 'target'), [(s, t) for s in ANTIMERIDIAN for t in ANTIMERIDIAN])
def test_on_both_sides_of_the_antimeridian(source: str, target: str, tmp_path: Path) -> None:
    here, there = ANTIMERIDIAN[source], ANTIMERIDIAN[target]
    assert overlap(here, there)
    path = tmp_path / 'image.tif'
    columns = np.broadcast_to(np.arange(100, dtype=np.float32), (1, 100, 100))
    write_geotiff(path, columns, here)
    with closing(Image(path)) as image:
        image.select([1])
        image.warp_to(there, 'nearest')
        values, has_data = image.measure((0, 100))
    # the inner part is covered, in one piece
    assert has_data[20:80, 20:80].all()
    assert (np.diff(values[0, 50, 20:80]) >= 0).all()


def test_points_on_both_sides_of_the_antimeridian(pixels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / 'image.tif'
    write_geotiff(path, pixels)
    with rasterio.open(path, 'r+') as raster:
        jumping = points(4, west=179.7)
        for point in jumping:
            point.x -= 360 * (point.x > 180)
        raster.gcps = jumping, rasterio.CRS.from_epsg(4326)
    part = Grid.north_up('EPSG:4326', (179.8, 49.9), (STEP, STEP), (20, 30))
    with closing(Image(path)) as image:
        assert overlap(part, image.grid)
        image.select([1])
        image.warp_to(part, 'nearest')
        np.testing.assert_array_equal(image.measure((0, 20))[0], pixels[:, 10:30, 10:40])


def test_poles_and_rotated_grids() -> None:
    polar = Grid.north_up('EPSG:3413', (-1e5, 1e5), (1000.0, 1000.0), (200, 200))
    ring = Grid.north_up('EPSG:4326', (-180.0, 90.0), (1.0, 0.1), (20, 360))
    south = Grid.north_up('EPSG:4326', (-180.0, -88.0), (1.0, 0.1), (20, 360))
    assert overlap(polar, ring)
    assert not overlap(polar, south)
    place = Affine.translation(500_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
    rotated = Grid('EPSG:32633', place, 100, 100)
    beside = Grid.north_up('EPSG:32633', (501_000.0, 5_000_900.0), (10.0, 10.0), (20, 20))
    assert not overlap(rotated, beside)
    assert overlap(rotated, beside._replace(transform=Affine(10, 0, 500_700, 0, -10, 5_000_200)))


def test_no_way_between_two_crs() -> None:
    local = Grid.north_up('LOCAL_CS["mine",UNIT["metre",1]]', (0.0, 0.0), (1.0, 1.0), (9, 9))
    with pytest.raises(ValueError, match=r'\S'):
        overlap(local, PART)
    # but there is one to itself
    assert overlap(local, local._replace(transform=Affine(1, 0, 8, 0, -1, 0)))
    assert not overlap(local, local._replace(transform=Affine(1, 0, 9, 0, -1, 0)))
