"""What is missing in a file, and what its values mean: the same however it is read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from torchgeo_cloudseg.rasters import (
    Band,
    Grid,
    Image,
    SceneError,
    band_stack,
    write_geotiff,
)

GRID = Grid.north_up('EPSG:32633', (500_000.0, 5_000_000.0), (10.0, 10.0), (40, 30))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).uniform(-30, -1, (3, 40, 30)).astype(np.float32)


def _mask(path: Path, internal: bool) -> None:
    options = {'GDAL_TIFF_INTERNAL_MASK': internal}
    with rasterio.Env(**options), rasterio.open(path, 'r+') as raster:
        raster.write_mask(np.pad(np.ones((30, 30), np.uint8), ((10, 0), (0, 0))) * 255)


def _alpha(path: Path, value: float = 1) -> None:
    with rasterio.open(path, 'r+') as raster:
        alpha = np.full((40, 30), value, raster.dtypes[2])
        alpha[:10] = 0
        raster.write(alpha, 3)
        raster.colorinterp = [ColorInterp.gray, ColorInterp.undefined, ColorInterp.alpha]


def _internal(path: Path, pixels: np.ndarray) -> None:
    write_geotiff(path, pixels, GRID)
    _mask(path, internal=True)


def _beside(path: Path, pixels: np.ndarray) -> None:
    write_geotiff(path, pixels, GRID)
    _mask(path, internal=False)


def _float_alpha(path: Path, pixels: np.ndarray) -> None:
    write_geotiff(path, pixels, GRID)
    _alpha(path)


def _alpha_and_nodata(path: Path, pixels: np.ndarray) -> None:
    pixels[:2, 35:] = -99
    write_geotiff(path, pixels, GRID, -99)
    _alpha(path)


def _byte_alpha(path: Path, pixels: np.ndarray) -> None:
    write_geotiff(path, (-pixels).astype(np.uint8), GRID)
    _alpha(path, 255)


def _nodata(value: float) -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, pixels: np.ndarray) -> None:
        pixels[:, :10] = value
        write_geotiff(path, pixels, GRID, value)

    return write


def _mask_and_nodata(path: Path, pixels: np.ndarray) -> None:
    _alpha_and_nodata(path, pixels)
    with rasterio.open(path, 'r+') as raster:
        raster.colorinterp = [ColorInterp.gray, ColorInterp.undefined, ColorInterp.undefined]
    _mask(path, internal=True)


@pytest.mark.parametrize('stacked', [False, True])
@pytest.mark.parametrize(
    'write',
    [
        _internal, _beside, _float_alpha, _alpha_and_nodata, _byte_alpha, _mask_and_nodata,
        _nodata(-99), _nodata(np.nan), _nodata(np.inf), _nodata(0),
    ],
)  # fmt: skip
def test_ways_to_say_that_there_is_no_data(
    write: Callable[[Path, np.ndarray], None],
    stacked: bool,
    pixels: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # as TorchGeo's command line sets it for the whole process: files beside an image still count
    monkeypatch.setenv('GDAL_DISABLE_READDIR_ON_OPEN', 'EMPTY_DIR')
    path = tmp_path / 'image.tif'
    write(path, pixels)
    name = band_stack([Band(str(path), 1), Band(str(path), 2)]) if stacked else path
    with closing(Image(name)) as image:
        image.select([1, 2])
        values, has_data = image.measure((0, 40))
        image.warp_to(GRID, 'nearest')
        warped_values, warped_has_data = image.measure((0, 40))
    missing = np.zeros((40, 30), bool)
    missing[:10] = True
    # rows without data by nodata, beside those by alpha or a mask
    missing[35:] = write in (_alpha_and_nodata, _mask_and_nodata)
    np.testing.assert_array_equal(has_data, ~missing)
    np.testing.assert_array_equal(np.isnan(values), np.stack([missing] * 2))
    np.testing.assert_array_equal(warped_has_data, has_data)
    np.testing.assert_array_equal(warped_values, values)


def test_values_that_are_no_numbers_are_missing_but_not_without_data(
    pixels: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / 'image.tif'
    pixels[:, 0], pixels[:, 1], pixels[0, 2], pixels[:, 3] = np.inf, -np.inf, np.nan, 0
    write_geotiff(path, pixels, GRID)
    for nodata, without in ((None, 0), (0, 1)):
        with closing(Image(path)) as image:
            image.select([1, 2], nodata)
            for _ in range(2):
                values, has_data = image.measure((0, 40))
                assert (~has_data).sum() == 30 * without
                assert np.isnan(values).sum(axis=(1, 2)).tolist() == [
                    30 * (3 + without),
                    30 * (2 + without),
                ]
                image.warp_to(GRID, 'nearest')


def test_a_measurement_that_is_marked_as_alpha(pixels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / 'image.tif'
    write_geotiff(path, pixels, GRID)
    with rasterio.open(path, 'r+') as raster:
        raster.colorinterp = [ColorInterp.gray, ColorInterp.alpha, ColorInterp.undefined]
    with closing(Image(path)) as image:
        image.select([1, 2])
        image.warp_to(GRID, 'nearest')
        values, has_data = image.measure((0, 40))
    assert has_data.all()
    np.testing.assert_array_equal(values, pixels[:2])


def test_declared_scale_and_offset(tmp_path: Path) -> None:
    path, plain = tmp_path / 'image.tif', np.arange(2400, dtype=np.uint16).reshape(2, 40, 30)
    for scale, offset, stored, unit in (
        (1, -1000, plain + 1000, (1e-4, 0)),
        (1e-4, -0.1, plain + 1000, (1e-4, 0)),
        (2.75e-5, -0.2, plain, (2.75e-5, -0.2)),
        (0.01, -5, plain, None),
    ):
        write_geotiff(path, stored.astype(np.uint16), GRID, 1003)
        with rasterio.open(path, 'r+') as raster:
            raster.scales, raster.offsets = (scale,) * 2, (offset,) * 2
        with closing(Image(path)) as image:
            image.select([1, 2], None, unit)
            values, _ = image.measure((0, 40))
            expected = np.where(stored == 1003, np.nan, plain if unit else plain * scale + offset)
            # nodata is a stored value
            np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-3)
            found = np.where(np.isnan(values), 1003, image.to_stored(values))
            np.testing.assert_allclose(found, stored, rtol=1e-4, atol=1e-2)


def test_damage_that_is_found_late_is_named(pixels: np.ndarray, tmp_path: Path) -> None:
    """GDAL looks for masks and overviews when somebody asks what a band is."""
    path = tmp_path / 'image.tif'
    write_geotiff(path, pixels, GRID)
    data = bytearray(path.read_bytes())
    # the directory in front names another one, far behind the end
    (first,) = struct.unpack_from('<I', data, 4)
    (entries,) = struct.unpack_from('<H', data, first)
    struct.pack_into('<I', data, first + 2 + 12 * entries, 1 << 30)
    path.write_bytes(data)
    for read in (lambda: Image(path).select([1, 2]), lambda: band_stack([path])):
        with pytest.raises(SceneError, match=r'image\.tif: found an unreadable file'):
            read()


@pytest.mark.parametrize('dtype', ['complex64', 'complex_int16'])
def test_complex_values_are_refused(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / 'slc.tif'
    kind = {'driver': 'GTiff', 'count': 2, 'height': 9, 'width': 9, 'dtype': dtype}
    rasterio.open(path, 'w', **kind).close()
    with (
        closing(Image(path)) as image,
        pytest.raises(SceneError, match=r'slc.tif: found complex values .* backscatter'),
    ):
        image.select([1, 2])
