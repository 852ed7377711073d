"""Clouds on whatever GDAL reads, and what stays of a file and what does not."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from helpers import read, write
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from torchgeo_cloudseg.inference.clouds import add_clouds_to_raster
from torchgeo_cloudseg.rasters import SceneError


@pytest.fixture
def clear(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    return write(tmp_path / 'clear.tif', rng.integers(300, 3000, (3, 120, 90), dtype=np.uint16))


def test_archives_virtual_files_and_addresses(clear: Path, tmp_path: Path) -> None:
    rasterio.shutil.copy(clear, tmp_path / 'clear.vrt', driver='VRT')
    with zipfile.ZipFile(tmp_path / 'clear.zip', 'w') as archive:
        archive.write(clear, 'inside/clear.tif')
    expected = add_clouds_to_raster(clear, tmp_path / 'a.tif', progress=False)
    for number, source in enumerate((
        tmp_path / 'clear.vrt', f'zip://{tmp_path}/clear.zip!inside/clear.tif',
        f'/vsizip/{tmp_path}/clear.zip/inside/clear.tif', f'file://{clear}',
    )):  # fmt: skip
        found = add_clouds_to_raster(source, tmp_path / f'{number}.tif', progress=False)
        np.testing.assert_array_equal(read(found.image), read(expected.image))
    with pytest.raises(ValueError, match=r'clear\.tif: found the same file twice'):
        add_clouds_to_raster(tmp_path / 'clear.vrt', clear, overwrite=True)


def test_statistics_of_other_pixels_go(clear: Path, tmp_path: Path) -> None:
    with rasterio.open(clear, 'r+') as raster:
        raster.update_tags(1, STATISTICS_MEAN='1650', NAME='blue')
    output = tmp_path / 'cloudy.tif'
    shutil.copy(clear, output)
    (tmp_path / 'cloudy.tif.aux.xml').write_text(
        '<PAMDataset><PAMRasterBand band="1"><Metadata><MDI key="STATISTICS_MEAN">1</MDI>'
        '</Metadata></PAMRasterBand></PAMDataset>'
    )
    add_clouds_to_raster(clear, output, overwrite=True, progress=False)
    with rasterio.open(output) as raster:
        assert raster.tags(1) == {'NAME': 'blue'}


def test_ground_control_points_stay(tmp_path: Path) -> None:
    corners = ((0, 0), (0, 90), (120, 0), (120, 90))
    points = [GroundControlPoint(row, col, 1e5 + 3 * col, 2e6 - 3 * row) for row, col in corners]
    clear = tmp_path / 'clear.tif'
    profile = {'driver': 'GTiff', 'count': 3, 'height': 120, 'width': 90, 'dtype': 'uint16'}
    with rasterio.open(clear, 'w', **profile) as raster:
        raster.gcps = points, 'EPSG:32646'
        raster.write(np.full((3, 120, 90), 900, np.uint16))
    written = add_clouds_to_raster(clear, tmp_path / 'c.tif', pixel_size=3, progress=False)
    for path in written:
        with rasterio.open(path) as raster:
            found, crs = raster.gcps
            assert [(p.row, p.col, p.x, p.y) for p in found] == [
                (p.row, p.col, p.x, p.y) for p in points
            ]
            assert crs.to_epsg() == 32646


def test_what_is_no_image_of_brightness_is_refused(clear: Path, tmp_path: Path) -> None:
    palette = write(tmp_path / 'palette.tif', np.zeros((1, 32, 32), np.uint8))
    with rasterio.open(palette, 'r+') as raster:
        raster.write_colormap(1, {0: (0, 0, 0, 255), 1: (255, 0, 0, 255)})
        assert raster.colorinterp == (ColorInterp.palette,)
    with pytest.raises(SceneError, match=r'palette\.tif: found a palette.*-expand'):
        add_clouds_to_raster(palette, tmp_path / 'c.tif')
    for name in ('c.png', 'c', 'c.jp2'):
        with pytest.raises(ValueError, match='only GeoTIFFs are written'):
            add_clouds_to_raster(clear, tmp_path / name)
    with pytest.raises(ValueError, match='only GeoTIFFs are written'):
        add_clouds_to_raster(clear, tmp_path / 'c.tif', mask=tmp_path / 'm.png')
    assert {path.name for path in tmp_path.iterdir()} == {'clear.tif', 'palette.tif'}
