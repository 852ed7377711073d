"""Pixels of maps: any size, of any grid."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine
from torch import nn

from torchgeo_cloudseg.inference import MapOptions, predict_scene
from torchgeo_cloudseg.inference.scenes.resolution import map_scale
from torchgeo_cloudseg.rasters import Grid


class Columns(nn.Module):
    """Class 1 where the first band is bright."""

    def forward(self, optical, sar):
        value = optical[:, :1] - 0.5
        return nn.functional.pad(value, (0, 0, 0, 0, 1, 1))


def grid(width: float, height: float, turned: float = 0) -> Grid:
    place = Affine.translation(5e5, 5e6) @ Affine.rotation(turned) @ Affine.scale(width, -height)
    return Grid('EPSG:32633', place, 300, 300)


@pytest.mark.parametrize('turned', [0, 30, 90, 200])
@pytest.mark.parametrize(
    ('pixel', 'wanted', 'scale'),
    [
        ((3, 3), 10, (Fraction(3, 10),) * 2),
        ((3, 3), 12.5, (Fraction(6, 25),) * 2),
        # not to be told apart from one to one
        ((9.99312, 9.99312), 10, (1, 1)),
        ((3, 6), 6, (1, Fraction(1, 2))),
        ((3, 5), 7, (Fraction(5, 7), Fraction(3, 7))),
    ],
)
def test_sizes(turned: int, pixel, wanted: float, scale, spec) -> None:
    found = map_scale(grid(*pixel, turned), spec, MapOptions(resolution=wanted))
    assert found[:2] == scale
    assert all((side * found.window).denominator == 1 for side in found[:2])


@pytest.mark.parametrize('wanted', [*np.geomspace(0.4, 240, 60), np.pi, 9.87654321, 3.001])
def test_any_size_is_met_to_within_a_hundredth_and_windows_overlap(wanted: float, spec) -> None:
    scale, across, window, stride = map_scale(grid(3, 3), spec, MapOptions(resolution=wanted))
    assert scale == across
    assert abs(3 / float(scale) / wanted - 1) < 0.01
    assert (window * scale).denominator == (stride * scale).denominator == 1
    assert 0 < stride <= window
    assert abs(window - 160) <= 54


@pytest.mark.parametrize(
    ('wanted', 'windows', 'size'),
    [(5000, {}, r'\d+'), (7, {'window': 10}, '7.5'), (4.1, {'window': 6, 'stride': 3}, '4.5')],
)
def test_sizes_for_which_there_are_no_windows(wanted: float, windows, size: str, spec) -> None:
    with pytest.raises(ValueError, match=rf'resolution={wanted:g}: .*The next size is {size}') as e:
        map_scale(grid(3, 3), spec, MapOptions(resolution=wanted, **windows))
    # it does
    named = float(str(e.value).split('The next size is ')[1].split('. ')[0])
    map_scale(grid(3, 3), spec, MapOptions(resolution=named, **windows))


@pytest.mark.parametrize('turned', [0, 25])
def test_maps_of_oblong_pixels_have_square_ones(
    turned: float, make_scene, write_raster, spec, tmp_path: Path
) -> None:
    place = grid(3, 6, turned).transform
    optical = np.full((4, 200, 420), 2000, np.uint16)
    optical[0, :, 210:] = 9000
    sar = np.full((2, 200, 420), -12.0, np.float32)
    paths = [
        write_raster(tmp_path / f'{name}.tif', pixels, transform=place)
        for name, pixels in (('optical', optical), ('sar', sar))
    ]
    out = predict_scene(
        Columns(), *paths, tmp_path / 'map.tif', spec=spec, options=MapOptions(resolution=6),
        progress=False,
    )  # fmt: skip
    with rasterio.open(out['classes']) as raster:
        assert raster.shape == (200, 210)
        assert raster.transform.almost_equals(place @ Affine.scale(2, 1), 1e-9)
        classes = raster.read(1)
    assert (classes[:, :104] != 1).all()
    assert (classes[:, 106:] == 1).all()


def test_a_scene_that_is_placed_by_points(make_scene, spec, tmp_path: Path) -> None:
    scene = make_scene(300, 360)
    corners = [(0, 0), (0, 360), (300, 0), (300, 360)]
    with rasterio.open(scene.optical) as raster:
        place, crs, pixels = raster.transform, raster.crs, raster.read()
    kind = {'driver': 'GTiff', 'count': 4, 'dtype': 'uint16', 'height': 300, 'width': 360}
    with rasterio.open(scene.optical, 'w', **kind, nodata=0) as raster:
        raster.write(pixels)
        xy = [place @ (col, row) for row, col in corners]
        raster.gcps = [GroundControlPoint(*c, *p) for c, p in zip(corners, xy, strict=True)], crs
    args = Columns(), scene.optical, scene.sar
    out = predict_scene(*args, tmp_path / 'map.tif', spec=spec, progress=False)
    with rasterio.open(out['classes']) as raster:
        points, found = raster.gcps
        assert found == crs
        assert [(p.row, p.col) for p in points] == [(0, 0), (0, 108), (90, 0), (90, 108)]
        np.testing.assert_allclose([(p.x, p.y) for p in points], xy)
        # SAR covers all of it, to within a pixel
        assert (raster.read(1)[1:-1, 1:-1] != 255).all()
    with pytest.raises(ValueError, match='no unit of length'):
        predict_scene(
            *args, tmp_path / 'm.tif', spec=spec, options=MapOptions(resolution=6), progress=False
        )
