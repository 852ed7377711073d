"""One image of several files."""

from __future__ import annotations

import os
import pickle
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.transform import Affine

from torchgeo_cloudseg.rasters import (
    Band,
    Grid,
    Image,
    SceneError,
    band_stack,
    file_state,
    name_of,
    read_header,
    read_window,
    sources_of,
    write_geotiff,
)

FINE = Grid.north_up('EPSG:32633', (500_000.0, 5_000_000.0), (10.0, 10.0), (40, 60))
COARSE = FINE._replace(transform=Affine(20, 0, 500_000, 0, -20, 5_000_000), height=20, width=30)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A band at 10 m and two at 20 m."""
    fine, coarse = tmp_path / 'B02.tif', tmp_path / 'B11 20m.tif'
    write_geotiff(fine, np.arange(2400, dtype=np.uint16).reshape(1, 40, 60), FINE, 0)
    write_geotiff(coarse, np.arange(1200, dtype=np.int16).reshape(2, 20, 30) - 9, COARSE)
    return fine, coarse


def test_bands_of_any_resolution_on_the_finest_grid(files: tuple[Path, Path]) -> None:
    fine, coarse = files
    path = band_stack([Band(str(coarse), 2, 'B11', nodata=591), fine, coarse])
    header = read_header(path)
    assert header.grid == FINE
    # a type that holds both
    assert (header.count, header.dtype) == (4, 'int32')
    pixels = read_window(path, (3, 9), (10, 20))
    coarse_pixels = np.kron(rasterio.open(coarse).read(), np.ones((2, 2), int))[:, 3:9, 10:20]
    np.testing.assert_array_equal(pixels[[0, 2, 3]], coarse_pixels[[1, 0, 1]])
    np.testing.assert_array_equal(pixels[1], np.arange(2400).reshape(40, 60)[3:9, 10:20])
    with closing(Image(path)) as image:
        assert image.raster.descriptions == ('B11', None, None, None)
        assert image.raster.nodatavals == (591, 0, None, None)
        # the second band of the coarse file starts with 591
        assert not image.read([1], (0, 2), (0, 2))[1].any()
        assert image.read([4], (0, 2), (0, 2))[1].all()


def test_facts_of_bands_stay_with_them(tmp_path: Path) -> None:
    path = tmp_path / 'a.tif'
    write_geotiff(path, np.ones((2, 40, 60), np.float32), FINE)
    with rasterio.open(path, 'r+') as raster:
        raster.scales, raster.offsets = (0.5, 1), (-1, 0)
        raster.descriptions = ('red', 'nir')
        raster.units = ('dB', '')
        mask = np.full((40, 60), 255, np.uint8)
        mask[:20] = 0
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            raster.write_mask(mask)
    stack = band_stack([Band(str(path), 2, offset=3.0), Band(str(path))])
    with closing(Image(stack)) as image:
        raster = image.raster
        assert (raster.scales, raster.offsets) == ((1, 0.5), (3, -1))
        assert raster.descriptions == ('nir', 'red')
        assert raster.units == (None, 'dB')
        np.testing.assert_array_equal(image.read([1, 2], (0, 40))[1], mask > 0)


def test_places_by_points_and_polynomials(tmp_path: Path) -> None:
    points = [GroundControlPoint(r, c, 10 + c, 50 - r) for r in (0, 40) for c in (0, 60)]
    polynomials = RPC(
        height_off=1, height_scale=2, lat_off=3, lat_scale=4, line_off=5, line_scale=6,
        long_off=7, long_scale=8, samp_off=9, samp_scale=10, line_den_coeff=[1.0] * 20,
        line_num_coeff=[2.0] * 20, samp_den_coeff=[3.0] * 20, samp_num_coeff=[4.0] * 20,
    )  # fmt: skip
    for name in ('vv', 'vh'):
        write_geotiff(tmp_path / f'{name}.tif', np.ones((1, 40, 60), np.uint16))
        with rasterio.open(tmp_path / f'{name}.tif', 'r+') as raster:
            raster.gcps = points, rasterio.CRS.from_epsg(4326)
            raster.rpcs = polynomials
    with closing(Image(band_stack([tmp_path / 'vv.tif', tmp_path / 'vh.tif']))) as image:
        found, crs = image.raster.gcps
        assert [(p.row, p.col, p.x, p.y) for p in found] == [
            (p.row, p.col, p.x, p.y) for p in points
        ]
        assert crs.to_epsg() == 4326
        assert image.raster.rpcs.samp_num_coeff == [4.0] * 20


def test_files_that_do_not_belong_together(files: tuple[Path, Path], tmp_path: Path) -> None:
    fine, _ = files
    pixels = np.ones((1, 40, 60), np.uint8)
    elsewhere = FINE._replace(transform=Affine(10, 0, 500_100, 0, -10, 5_000_000))
    for grid in (elsewhere, FINE._replace(crs='EPSG:32634'), FINE._replace(height=39)):
        other = tmp_path / 'other.tif'
        write_geotiff(other, pixels[:, : grid.height], grid)
        with pytest.raises(SceneError, match=r'other.tif: found .* expected the extent of .*B02'):
            band_stack([fine, other])
    with pytest.raises(SceneError, match=r'B02.tif: found 1 band\(s\), expected a band 2'):
        band_stack([Band(str(fine), 2)])
    with pytest.raises(SceneError, match=r'nowhere.tif: found no such file'):
        band_stack([fine, tmp_path / 'nowhere.tif'])
    with pytest.raises(ValueError, match='at least one'):
        band_stack([])


def test_a_stack_in_a_file_and_what_it_is_made_of(files: tuple[Path, Path], tmp_path: Path) -> None:
    fine, coarse = files
    text = band_stack([fine, coarse])
    kept = tmp_path / 'kept.vrt'
    kept.write_text(text)
    outer = band_stack([kept])
    assert sources_of(text) == (str(fine), str(coarse))
    assert sources_of(outer) == (str(kept), str(fine), str(coarse))
    np.testing.assert_array_equal(
        read_window(str(kept), (0, 9), (0, 9)), read_window(text, (0, 9), (0, 9))
    )
    before = [file_state(path) for path in (text, str(kept), outer)]
    assert before[0].size == fine.stat().st_size + coarse.stat().st_size
    os.utime(coarse, ns=(1, 1))
    assert all(
        file_state(path) != state
        for path, state in zip((text, str(kept), outer), before, strict=True)
    )
    # VRTs that name each other end
    kept.write_text(text.replace(str(fine), str(tmp_path / 'b.vrt')))
    (tmp_path / 'b.vrt').write_text(text.replace(str(fine), str(kept)))
    assert set(sources_of(str(kept))) == {str(kept), str(tmp_path / 'b.vrt'), str(coarse)}


def test_errors_name_the_file(files: tuple[Path, Path]) -> None:
    fine, coarse = files
    text = band_stack([fine, coarse])
    assert name_of(text) == str(fine)
    coarse.unlink()
    for act in (lambda: file_state(text), lambda: read_window(text, (0, 9), (0, 9))):
        with pytest.raises(SceneError) as caught:
            act()
        assert str(caught.value).startswith(f'{coarse}: found no such file')
    with closing(Image(text)) as image, pytest.raises(SceneError) as caught:
        image.read([2], (0, 9))
    assert '<' not in str(caught.value)
    assert str(coarse) in str(caught.value)
    assert '<' not in str(pickle.loads(pickle.dumps(caught.value)))


@pytest.mark.parametrize(
    ('path', 'name'),
    [
        ('https://me:secret@host/a.tif?sig=x%3D', 'https://host/a.tif'),
        ('/vsicurl/https://host/a.tif?sig=x', '/vsicurl/https://host/a.tif'),
        ('odd?name.tif', 'odd?name.tif'),
        ('<VRTDataset', 'a VRT without files'),
    ],
)
def test_names(path: str, name: str) -> None:
    assert name_of(path) == name
    assert str(SceneError(path, 'x', 'y')).startswith(f'{name}: found')
