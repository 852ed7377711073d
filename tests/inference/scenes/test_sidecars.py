"""What other software is told of a map."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from rasterio.warp import transform_geom
from shapely.geometry import box, shape

from torchgeo_cloudseg.inference import MapOptions, predict_scene
from torchgeo_cloudseg.rasters import Grid, SceneError, footprint, write_geotiff

PRODUCTS = ('confidence', 'quicklook', 'qgis', 'footprint', 'stac')


def test_sidecars_of_a_map(make_scene, write_raster, network, spec, tmp_path: Path) -> None:
    scene = make_scene()
    optical = scene.optical.rename(scene.optical.with_name('S2A_20200701T101559.tif'))
    scene.optical_pixels[:, :, 150:] = 0
    write_raster(optical, scene.optical_pixels, nodata=0)
    options = MapOptions(products=PRODUCTS, model_name='best')
    args = network, optical, scene.sar, tmp_path / 'map.tif'
    out = predict_scene(*args, spec=spec, options=options, progress=False)
    assert {product: out[product].name for product in PRODUCTS[2:]} == {
        'qgis': 'map.qml', 'footprint': 'map_footprint.geojson', 'stac': 'map.json',
    }  # fmt: skip
    palette = ElementTree.parse(out['qgis']).findall('pipe/rasterrenderer/colorPalette/*')
    assert [entry.attrib for entry in palette] == [
        {'value': '0', 'color': '#006400', 'alpha': '255', 'label': 'forest'},
        {'value': '1', 'color': '#0064c8', 'alpha': '255', 'label': 'water'},
        {'value': '2', 'color': '#fa0000', 'alpha': '255', 'label': 'town'},
    ]
    (feature,) = json.loads(out['footprint'].read_text())['features']
    with rasterio.open(out['classes']) as raster:
        bounds, crs = raster.bounds, raster.crs
    half = box(bounds.left, bounds.bottom, (bounds.left + bounds.right) / 2, bounds.top)
    moved = shape(transform_geom('EPSG:4326', crs, feature['geometry']))
    assert moved.symmetric_difference(half).area < 0.01 * half.area
    item = json.loads(out['stac'].read_text())
    assert item['properties']['datetime'] == '2020-07-01T00:00:00Z'
    assert item['properties']['processing:software']['model'] == 'best'
    assert item['properties']['proj:code'] == 'EPSG:32646'
    assert sorted(item['assets']) == ['classes', 'confidence', 'footprint', 'qgis', 'quicklook']
    assert all((tmp_path / asset['href']).is_file() for asset in item['assets'].values())
    listed = item['assets']['classes']['classification:classes']
    assert [(entry['value'], entry['color_hint']) for entry in listed][2] == (2, 'FA0000')
    # what the network is called decides nothing
    other = MapOptions(products=PRODUCTS, model_name='renamed')
    before = network.windows
    predict_scene(*args, spec=spec, options=other, resume=True, progress=False)
    assert network.windows == before


def test_stac_items_are_valid(make_scene, network, spec, tmp_path: Path) -> None:
    pystac = pytest.importorskip('pystac')
    scene = make_scene()
    options = MapOptions(products=PRODUCTS)
    args = network, scene.optical, scene.sar, tmp_path / 'map.tif'
    out = predict_scene(*args, spec=spec, options=options, progress=False)
    assert pystac.Item.from_file(str(out['stac'])).validate()


def test_footprints_of_all_places(tmp_path: Path) -> None:
    path = tmp_path / 'map.tif'
    values = np.ones((1, 60, 80), np.uint8)
    values[:, 20:40, 30:50] = 0
    # a hole stays one
    grid = Grid.north_up('EPSG:32633', (500_000.0, 5_000_000.0), (10.0, 10.0), (60, 80))
    write_geotiff(path, values, grid, 0)
    outline = shape(transform_geom('EPSG:4326', 'EPSG:32633', footprint(str(path))))
    assert abs(outline.area / (4400 * 100) - 1) < 0.01
    # on both sides of the antimeridian
    for west in (179.6, -180.4):
        grid = Grid.north_up('EPSG:4326', (west, 10.3), (0.01, 0.01), (60, 80))
        write_geotiff(path, np.ones((1, 60, 80), np.uint8), grid)
        parts = shape(footprint(str(path)))
        assert parts.geom_type == 'MultiPolygon'
        assert abs(parts.area - 0.48) < 1e-3
        assert all(part.bounds[2] - part.bounds[0] < 1 for part in parts.geoms)
    write_geotiff(path, values)
    with pytest.raises(SceneError, match='no place upon the earth'):
        footprint(str(path))


def test_maps_without_a_place_have_no_footprint(
    make_scene, write_raster, network, spec, tmp_path: Path
) -> None:
    scene = make_scene()
    kind = {'crs': None, 'transform': Affine.identity()}
    write_raster(scene.optical, scene.optical_pixels, **kind)
    write_raster(scene.sar, np.full((2, 300, 300), -12.0), **kind)
    with pytest.raises(ValueError, match=r'scene_optical\.tif: no place upon the earth'):
        predict_scene(
            network, scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec,
            options=MapOptions(products=['stac']), progress=False,
        )  # fmt: skip
    assert not list(tmp_path.glob('map*'))
