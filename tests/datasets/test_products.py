"""Scenes as archives ship them."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from products_on_disk import (
    LEVEL,
    write_band,
    write_item,
    write_landsat,
    write_planet,
    write_sentinel1,
    write_sentinel2,
)
from products_read import EXPECTED, SPEC, read

from torchgeo_cloudseg.datasets.products import day_in, images_in, images_in_stac
from torchgeo_cloudseg.inference import find_scenes
from torchgeo_cloudseg.inference.scenes.pairing import pair_text
from torchgeo_cloudseg.rasters import Image, SceneError

KEYS = ('optical', 'sar')


def described(path: str) -> tuple[str, ...]:
    with closing(Image(path)) as image:
        return image.raster.descriptions


@pytest.mark.slow
@pytest.mark.parametrize(('level', 'offset'), [('L2A', -1000), ('L1C', -1000), ('L2A', 0)])
def test_sentinel2_and_sentinel1(level: str, offset: int, tmp_path: Path) -> None:
    safe = write_sentinel2(tmp_path, level=level, offset=offset)
    sar = write_sentinel1(tmp_path)
    (pair,) = find_scenes(safe, sar)
    assert pair.name == safe.stem
    names = [band for band in LEVEL if level == 'L1C' or band != 'B10']
    assert described(pair.optical_path) == tuple(names)
    assert described(pair.sar_path) == ('VV', 'VH')
    optical, backscatter, valid = read(pair)
    np.testing.assert_allclose(optical, EXPECTED, rtol=0.02)
    decibels = backscatter * [25, 32.5] - [25, 32.5]
    np.testing.assert_allclose(decibels, [-12, -18], atol=0.1)
    assert valid.shape == (240, 240)
    # the stripe of zeros is no data
    assert not valid[:, :24].any()
    assert valid[:, 24:].all()
    # a folder of both, the metadata alone, and the bands of the other resolutions
    assert find_scenes(tmp_path) == [pair]
    assert find_scenes(safe / f'MTD_MSI{level}.xml', sar / 'manifest.safe') == [pair]
    infrared = replace(SPEC, optical_names=('B8A', 'B11', 'B12', 'B01'))
    optical, _, _ = read(pair, infrared)
    expected = [LEVEL[band] / 10_000 for band in infrared.optical_names]
    np.testing.assert_allclose(optical, expected, rtol=0.02)


@pytest.mark.slow
def test_an_early_baseline_by_the_name_alone(tmp_path: Path) -> None:
    for offset in (0, -1000):
        safe = write_sentinel2(tmp_path / str(offset), offset=offset)
        (safe / 'MTD_MSIL2A.xml').unlink()
        (pair,) = find_scenes(safe, write_sentinel1(tmp_path / str(offset)))
        np.testing.assert_allclose(read(pair)[0], EXPECTED, rtol=0.02)


def test_sentinel1_without_calibration_says_what_was_assumed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (pair,) = find_scenes(write_sentinel2(tmp_path), write_sentinel1(tmp_path, calibrated=False))
    assert 'no calibration' in caplog.text
    with pytest.raises(SceneError, match=r'measurement/s1a.*band 1: 100% outside'):
        read(pair)
    table = write_sentinel1(tmp_path / 'broken') / 'annotation' / 'calibration'
    next(table.iterdir()).write_text('<calibration>')
    with pytest.raises(SceneError, match=r'calibration-s1a.*no calibration'):
        images_in([str(tmp_path / 'broken')])


@pytest.mark.slow
@pytest.mark.parametrize('level', ['L2SP', 'L1TP'])
def test_landsat(level: str, tmp_path: Path) -> None:
    scene = write_landsat(tmp_path, level)
    (pair,) = find_scenes(scene, write_sentinel1(tmp_path))
    assert pair.name == scene.name
    assert described(pair.optical_path) == tuple(f'SR_B{i}' for i in range(1, 8))
    optical, _, valid = read(pair)
    # Level-1 is for the sun in the zenith
    sun = 1 if level == 'L2SP' else np.sin(np.radians(30))
    np.testing.assert_allclose(optical, np.array([0.02, 0.03, 0.04, 0.05]) / sun, atol=0.006)
    assert valid[:, 8:].all()
    # a network that was trained on Landsat's own numbers
    own = replace(
        SPEC, optical_range=((7273,), (43636,)), optical_scale=2.75e-5, optical_offset=-0.2,
        optical_names=('SR_B2', 'SR_B3', 'SR_B4', 'SR_B5'),
    )  # fmt: skip
    np.testing.assert_allclose(read(pair, own)[0], optical, atol=1e-4)


def test_planet_order(tmp_path: Path) -> None:
    order = write_planet(tmp_path / 'order')
    (image,) = images_in([str(order)])
    assert (image.name, image.day) == (
        '20200701_101010_1032_3B_AnalyticMS_SR_clip',
        date(2020, 7, 1),
    )
    assert described(image.path) == ('blue', 'green', 'red', 'nir')
    (pair,) = find_scenes(order, write_sentinel1(tmp_path))
    np.testing.assert_allclose(read(pair)[0], [0.07, 0.09, 0.11, 0.3], rtol=0.02)
    # the files by themselves: the mask is no scene
    files = order / 'PSScene' / '20200701_101010_1032' / 'analytic_sr_udm2'
    assert [found.path for found in images_in([str(files)])] == [image.path]


def test_files_of_single_bands(tmp_path: Path) -> None:
    for band in ('B02', 'B03', 'B04', 'B08', 'B11'):
        write_band(tmp_path / 'a' / f'{band}.tif', LEVEL[band], 20 if band == 'B11' else 10)
        write_band(tmp_path / 'b' / f'S2_tile_{band}_10m.tif', LEVEL[band], 10)
    for band, level in {'VV': -12, 'VH': -18}.items():
        write_band(tmp_path / 's' / f'{band}.tif', level, 10, 'float32', nodata=0)
    (tmp_path / 'b' / 'S2_tile_TCI_10m.tif').touch()
    (pair,) = find_scenes(tmp_path / 'a', tmp_path / 's')
    assert pair.name == 'a'
    assert described(pair.optical_path) == ('B02', 'B03', 'B04', 'B08', 'B11')
    assert described(pair.sar_path) == ('VV', 'VH')
    optical, sar, _ = read(pair)
    np.testing.assert_allclose(optical, EXPECTED, rtol=0.02)
    np.testing.assert_allclose(sar * [25, 32.5] - [25, 32.5], [-12, -18], rtol=0.03)
    files = [tmp_path / 'b' / f'S2_tile_{band}_10m.tif' for band in ('B08', 'B04', 'B03', 'B02')]
    (listed,) = find_scenes(files, [tmp_path / 's' / 'VV.tif', tmp_path / 's' / 'VH.tif'])
    assert listed.name == 'S2_tile'
    np.testing.assert_allclose(read(listed)[0], EXPECTED, rtol=0.02)
    assert find_scenes(tmp_path / 'b', tmp_path / 's')[0].name == 'S2_tile'
    # images whose names look like bands, but which hold several, are images of their own
    pixels = np.ones((4, 30, 30), np.uint16)
    for name in ('area_B1', 'area_B2'):
        kind = {'driver': 'GTiff', 'count': 4, 'height': 30, 'width': 30, 'dtype': 'uint16'}
        with rasterio.open(tmp_path / f'{name}.tif', 'w', **kind) as raster:
            raster.write(pixels)
    images = images_in([str(tmp_path / 'area_B1.tif'), str(tmp_path / 'area_B2.tif')])
    assert [image.name for image in images] == ['area_B1', 'area_B2']


def test_bands_that_are_named_on_both_sides(tmp_path: Path) -> None:
    safe, sar = write_sentinel2(tmp_path), write_sentinel1(tmp_path)
    (pair,) = find_scenes(safe, sar)
    # nobody knows these names: by number
    unknown = replace(
        SPEC, optical_names=('a', 'b', 'c', 'd'), exact=(), optical_bands=(2, 3, 4, 8)
    )
    np.testing.assert_allclose(read(pair, unknown)[0], EXPECTED, rtol=0.02)
    with pytest.raises(SceneError, match=r'bands .*of which there is no .*Thermal'):
        read(pair, replace(SPEC, optical_names=('Blue', 'Green', 'Red', 'Thermal')))
    with pytest.raises(SceneError, match=r'12 band\(s\), expected the optical bands'):
        read(pair, replace(SPEC, optical_names=()))


@pytest.mark.slow
def test_pairs_by_place_and_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    optical = [write_sentinel2(tmp_path, day) for day in ('20200701', '20200709', '20200801')]
    sar = [write_sentinel1(tmp_path, day) for day in ('20200703', '20200729')]
    pairs = find_scenes(tmp_path)
    assert [pair.name for pair in pairs] == [safe.stem for safe in optical]
    for pair, one in zip(pairs, (0, 0, 1), strict=True):
        assert sar[one].stem in pair_text(pair)
    assert pair_text(pairs[1]).endswith('(6 days apart)')
    # one SAR image for several dates
    assert len(find_scenes(optical, sar[0])) == 3
    # elsewhere
    far = tmp_path / 'far' / sar[0].name
    shutil.copytree(sar[0], far)
    for file in (far / 'measurement').iterdir():
        with rasterio.open(file, 'r+') as raster:
            points, crs = raster.gcps
            for point in points:
                point.x += 20
            raster.gcps = points, crs
    with pytest.raises(ValueError, match=r'3 of 3 optical images have not'):
        find_scenes(optical, far)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Files of single bands, as catalogs name them."""
    for band in ('B02', 'B03', 'B04', 'B08', 'B11'):
        size = 20 if band == 'B11' else 10
        write_band(tmp_path / 'with space' / f'{band}.tif', LEVEL[band] + 1000, size)
    for band, level in {'vv': 10**-1.2, 'vh': 10**-1.8}.items():
        write_band(tmp_path / 'sar' / f'{band}.tif', level, 10, 'float32')
    return tmp_path


COLORS = {'B02': 'blue', 'B03': 'green', 'B04': 'red', 'B08': 'nir', 'B11': 'swir16'}


def optical_assets(style: str) -> dict[str, object]:
    """Assets as Earth Search, the Planetary Computer, and STAC 1.1 have them."""
    assets: dict[str, object] = {}
    for band, color in COLORS.items():
        asset = {'href': f'./with%20space/{band}.tif', 'type': 'image/tiff', 'roles': ['data']}
        facts = {'nodata': 0, 'scale': 0.0001, 'offset': -0.1}
        if style == 'earth search':
            asset['eo:bands'] = [{'name': color, 'common_name': color}]
            asset['raster:bands'] = [facts]
        elif style == 'planetary computer':
            asset['eo:bands'] = [{'name': band, 'common_name': color}]
        else:
            own = {f'raster:{key}': facts[key] for key in ('scale', 'offset')}
            asset['bands'] = [{'name': band, 'eo:common_name': color, **own}]
            asset['nodata'] = 0
        assets[color if style == 'earth search' else band] = asset
    assets['thumbnail'] = {'href': 'x.jpg', 'roles': ['thumbnail']}
    assets['visual'] = {'href': 'v.tif', 'type': 'image/tiff', 'roles': ['visual'],
                        'eo:bands': [{'name': b} for b in ('B04', 'B03', 'B02')]}  # fmt: skip
    assets['scl'] = {'href': 'scl.tif', 'type': 'image/tiff', 'roles': ['data']}
    return assets


def sar_assets() -> dict[str, object]:
    return {name: {'href': f'sar/{name}.tif', 'type': 'image/tiff'} for name in ('vv', 'vh')}


@pytest.mark.slow
@pytest.mark.parametrize('style', ['earth search', 'planetary computer', 'STAC 1.1'])
@pytest.mark.parametrize('shape', ['two files', 'collection', 'one item'])
def test_stac(style: str, shape: str, files: Path) -> None:
    facts = {'properties': {'s2:processing_baseline': '04.00'}, 'collection': 'sentinel-2-l2a'}
    sar = {'properties': {'datetime': '2020-07-03T05:25:00Z'}, 'collection': 'sentinel-1-rtc'}
    first, second = files / 'optical.json', files / 'sar.json'
    if shape == 'one item':
        # units that are stated, rather than known of a collection
        power = {
            k: {**v, 'raster:bands': [{'unit': 'power', 'nodata': 0}]}
            for k, v in sar_assets().items()
        }
        write_item(first, 'S2A_T32UQD', {**optical_assets(style), **power}, **facts)
        pairs = find_scenes(first)
    else:
        items = [
            write_item(first, 'S2A_T32UQD', optical_assets(style), **facts),
            write_item(second, 'S1A_IW', sar_assets(), **sar),
        ]
        if shape == 'two files':
            pairs = find_scenes(first, second)
        else:
            both = files / 'search.json'
            both.write_text(json.dumps({'type': 'FeatureCollection', 'features': items}))
            pairs = find_scenes(both)
    (pair,) = pairs
    assert pair.name == 'S2A_T32UQD'
    optical, backscatter, valid = read(pair, replace(SPEC, sar_nodata=0.0))
    np.testing.assert_allclose(optical, EXPECTED, rtol=0.02)
    np.testing.assert_allclose(backscatter * [25, 32.5] - [25, 32.5], [-12, -18], atol=0.1)
    assert not valid[:, :24].any()


def test_stac_offsets_that_were_applied_already(files: Path) -> None:
    facts = {'properties': {'earthsearch:boa_offset_applied': True}, 'collection': 'sentinel-2-l2a'}
    path = files / 'item.json'
    write_item(path, 'a', optical_assets('earth search'), **facts)
    (image,) = images_in_stac(str(path), KEYS)
    with closing(Image(image.path)) as opened:
        assert set(opened.raster.offsets) == {0}
        assert set(opened.raster.scales) == {0.0001}


def test_stac_that_is_none(files: Path) -> None:
    path = files / 'item.json'
    for text in ('[]', '{', '3', 'null', '{"features": []}', '{"assets": {}}', '[' * 100_000,
                 '{"id": "a", "assets": []}', '{"features": [7]}', '\ufeff{"id": 1}'):  # fmt: skip
        path.write_text(text)
        with pytest.raises(SceneError, match=r'item\.json: found (no STAC|no JSON|JSON nested)'):
            images_in_stac(str(path), KEYS)
    write_item(path, 'a', {'optical': {'title': 'x'}})
    with pytest.raises(SceneError, match=r"item\.json: found an asset 'optical' without href"):
        images_in_stac(str(path), KEYS)
    write_item(path, 'a', {'other': {'href': 'x.tif', 'eo:bands': 'B02'}, 'more': 5})
    with pytest.raises(SceneError, match=r"the assets \['more', 'other'\] of a"):
        images_in_stac(str(path), KEYS)


def test_dates_in_names() -> None:
    assert day_in('S2A_MSIL2A_20200701T101559_N0400') == date(2020, 7, 1)
    assert day_in('2020-07-01T10:15:59Z') == date(2020, 7, 1)
    assert day_in('LC08_L2SP_193027_20200701_20200913_02_T1') == date(2020, 7, 1)
    assert day_in('s1a-iw-grd-vv-20200703t052500') == date(2020, 7, 3)
    assert day_in('p_20209999_457') is None
