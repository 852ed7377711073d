"""Opening, reading, warping and writing rasters."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.lib.format import magic
from rasterio.transform import Affine

from torchgeo_cloudseg.rasters import (
    Grid,
    Image,
    RasterLayer,
    RasterWriter,
    SceneError,
    crs_string,
    read_array_header,
    read_header,
    read_window,
    warp,
    window_under,
    write_cog,
    write_geotiff,
)
from torchgeo_cloudseg.rasters.open import FilePool

GRID = Grid.north_up('EPSG:32633', (500_000.0, 5_000_000.0), (10.0, 10.0), (40, 30))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.arange(3 * 40 * 30, dtype=np.uint16).reshape(3, 40, 30)


@pytest.fixture
def path(tmp_path: Path, pixels: np.ndarray) -> Path:
    write_geotiff(tmp_path / 'image.tif', pixels, GRID, 0)
    return tmp_path / 'image.tif'


@pytest.mark.parametrize(
    'header',
    ["{'descr': '|b1', 'fortran_order': (", '(' * 9000, "{'descr': '|b1', 'shape': (2,)}",
     "{'descr': '|b1', 'fortran_order': False, 'shape': (" + '9' * 300 + ', 2)}'],
    ids=['open bracket', 'too deep', 'key missing', 'too large'],
)  # fmt: skip
def test_header_of_an_array_that_is_none(header: str, tmp_path: Path) -> None:
    path = tmp_path / 'mask.npy'
    path.write_bytes(magic(1, 0) + len(header).to_bytes(2, 'little') + header.encode() + bytes(4))
    with pytest.raises(SceneError, match=r'mask\.npy: found no plain array') as caught:
        read_array_header(str(path))
    assert len(str(caught.value)) < 600


def test_grids() -> None:
    assert GRID.bounds == (500_000, 4_999_600, 500_300, 5_000_000)
    assert Grid.from_bounds(GRID.crs, GRID.bounds, (40, 30)) == GRID
    part = GRID.part((4, 10), (2, 7))
    assert part.bounds == (500_020, 4_999_900, 500_070, 4_999_960)
    assert (part.height, part.width) == (6, 5)
    coarse = GRID.scaled(Fraction(3, 10), (12, 9))
    assert coarse.transform.a == 10 / 0.3
    assert GRID.covers_like(coarse)
    # a shift of less than a pixel is none, one of more is
    assert GRID.covers_like(coarse._replace(transform=Affine.translation(9, 0) @ coarse.transform))
    assert not GRID.covers_like(
        coarse._replace(transform=Affine.translation(11, 0) @ coarse.transform)
    )
    assert not GRID.covers_like(coarse._replace(crs='EPSG:32632'))


def test_header(path: Path, tmp_path: Path) -> None:
    header = read_header(str(path))
    assert (header.height, header.width, header.count, header.dtype) == (40, 30, 3, 'uint16')
    assert (header.crs, header.transform) == ('EPSG:32633', tuple(GRID.transform)[:6])
    assert (header.nodata, header.alpha_bands) == (0, ())
    np.save(tmp_path / 'mask.npy', np.ones((40, 30), bool))
    header = read_array_header(str(tmp_path / 'mask.npy'))
    assert (header.height, header.width, header.count, header.dtype) == (40, 30, 1, 'bool')
    assert header.crs == ''


def test_crs_as_text() -> None:
    assert crs_string(None) == ''
    assert crs_string(rasterio.crs.CRS.from_epsg(4326)) == 'EPSG:4326'
    local = '+proj=tmerc +lon_0=12.345 +ellps=GRS80'
    text = crs_string(local)
    assert rasterio.crs.CRS.from_wkt(text) == rasterio.crs.CRS.from_string(local)


@pytest.mark.parametrize('cache', [True, False])
def test_windows_of_rasters_and_arrays(
    path: Path, tmp_path: Path, pixels: np.ndarray, cache: bool
) -> None:
    found = read_window(str(path), (3, 20), (5, 9), cache)
    np.testing.assert_array_equal(found, pixels[:, 3:20, 5:9])
    for order in ('C', 'F'):
        np.save(tmp_path / 'array.npy', np.asarray(pixels[0], order=order))
        found = read_window(str(tmp_path / 'array.npy'), (3, 20), (5, 9), cache)
        np.testing.assert_array_equal(found, pixels[:1, 3:20, 5:9])
    for file in (path, tmp_path / 'array.npy'):
        with pytest.raises(SceneError, match='fewer pixels'):
            read_window(str(file), (30, 41), (0, 30), cache)


def test_pool_opens_a_changed_file_anew_and_closes_the_oldest(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    paths = [str(tmp_path / f'{name}.tif') for name in 'abc']
    for path in paths:
        write_geotiff(Path(path), pixels, GRID)
    pool = FilePool(maxsize=2)
    opened = []
    for path in (*paths, paths[2]):
        with pool.open(path) as raster:
            opened.append(raster)
    assert opened[2] is opened[3]
    assert [raster.closed for raster in opened] == [True, False, False, False]
    write_geotiff(Path(paths[2]), pixels[:2], GRID)
    with pool.open(paths[2]) as raster:
        assert raster.count == 2
    assert opened[2].closed


def test_uncompressed_file_without_its_end(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-400])
    with pytest.raises(SceneError, match='cut off'):
        read_header(str(path))


def test_image_on_another_grid(path: Path, pixels: np.ndarray) -> None:
    image = Image(path)
    values, has_data = image.read([2], (0, 3))
    np.testing.assert_array_equal(values, pixels[1:2, :3])
    # only the first pixel of the first band is 0, and no other band is there without data
    assert has_data.all()
    assert not image.read([1], (0, 3))[1][0, 0]
    image.select([2, 3])
    image.warp_to(GRID.part((0, 40), (-5, 10)), 'nearest')
    values, has_data = image.measure((10, 12))
    np.testing.assert_array_equal(values[:, :, 5:], pixels[1:, 10:12, :10])
    assert has_data.tolist() == [[False] * 5 + [True] * 10] * 2
    image.close()


def test_warped_window_needs_no_more_than_its_neighbors(pixels: np.ndarray) -> None:
    wanted = GRID.part((10, 20), (12, 18))
    rows, cols = window_under(GRID, wanted)
    assert (rows, cols) == ((8, 22), (10, 20))
    around = pixels[:, rows[0] : rows[1], cols[0] : cols[1]]
    found, missing = warp(around, GRID.part(rows, cols), wanted, 'nearest')
    np.testing.assert_array_equal(found, pixels[:, 10:20, 12:18])
    assert not missing.any()
    beyond = GRID.part((50, 60), (0, 10))
    rows, cols = window_under(GRID, beyond)
    assert rows[0] >= rows[1]


def test_writer_finds_what_was_lost(tmp_path: Path, pixels: np.ndarray) -> None:
    writer = RasterWriter(tmp_path / 'a.tif', GRID, 3, 'uint16', None)
    with writer:
        writer.write(pixels[:, :25], 0)
        writer.write(pixels[:, 25:, :10], 25)
        writer.write(pixels[:, 25:, 10:], 25, 10)
    writer.verify()
    write_geotiff(tmp_path / 'b.tif', np.where(pixels == 3000, 0, pixels), GRID)
    with pytest.raises(OSError, match='reads back differently'):
        writer.verify(tmp_path / 'b.tif')
    write_geotiff(tmp_path / 'c.tif', pixels[:, :20], GRID._replace(height=20))
    with pytest.raises(OSError, match=r'reads back differently|out of range|outside'):
        writer.verify(tmp_path / 'c.tif')


@pytest.mark.parametrize('step', [7, 40])
def test_cog_does_not_depend_on_how_rows_come(
    tmp_path: Path, pixels: np.ndarray, step: int
) -> None:
    layer = RasterLayer(('a', 'b', 'c'), 'uint16', 0, 'average', {'KIND': 'test'})
    rows = (pixels[:, top : top + step] for top in range(0, 40, step))
    (path,) = write_cog(tmp_path, 'map.tif', GRID, layer, rows)
    with rasterio.open(path) as raster:
        np.testing.assert_array_equal(raster.read(), pixels)
        assert raster.descriptions == ('a', 'b', 'c')
        assert raster.tags()['KIND'] == 'test'
        assert raster.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
    assert [file.name for file in tmp_path.iterdir()] == ['map.tif']


def test_failed_write_leaves_nothing(path: Path, pixels: np.ndarray) -> None:
    before = path.read_bytes()
    fails: list[Callable[[], None]] = [
        lambda: write_geotiff(path, pixels.astype(object), GRID),
        lambda: write_geotiff(path, pixels, GRID._replace(width=0)),
    ]
    for fail in fails:
        with pytest.raises((TypeError, ValueError, OSError)):
            fail()
        assert path.read_bytes() == before
        assert [file.name for file in path.parent.iterdir()] == ['image.tif']
