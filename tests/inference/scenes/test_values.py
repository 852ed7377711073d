"""What values of a scene mean, and scenes whose values cannot be those of the training."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from helpers import read
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from torch import nn

from torchgeo_cloudseg.inference import MapOptions, predict_scene
from torchgeo_cloudseg.inference.scenes.pair_reader import ScenePairReader
from torchgeo_cloudseg.rasters import SceneError

PLACE = Affine(10, 0, 760300, 0, -10, 1898410)


class Echo(nn.Module):
    """Gives the optical image back, and classes that depend on both images."""

    def forward(self, optical, sar):
        value = optical.mean(1, keepdim=True) + sar.mean(1, keepdim=True)
        logits = nn.functional.interpolate(value, scale_factor=0.3, mode='area')
        logits = nn.functional.pad(logits, (0, 0, 0, 0, 0, 2))
        return type('Output', (), {'logits': logits - 0.5, 'reconstruction': optical})()


def mapped(scene, spec, folder: Path, **options: object) -> dict[str, np.ndarray]:
    wanted = MapOptions(products=['confidence', 'reconstruction'], **options)
    folder.mkdir()
    out = predict_scene(
        Echo(), scene.optical, scene.sar, folder / 'map.tif', spec=spec, options=wanted,
        progress=False,
    )  # fmt: skip
    return {product: read(path) for product, path in out.items() if product != 'quicklook'}


def declare(path: Path, scale: float, offset: float) -> None:
    with rasterio.open(path, 'r+') as raster:
        raster.scales, raster.offsets = (scale,) * raster.count, (offset,) * raster.count
        raster.descriptions = ('B02', 'B03', 'B04', 'B08')[: raster.count]


@pytest.mark.slow
def test_the_same_ground_in_another_unit_is_the_same_map(
    make_scene, write_raster, spec, tmp_path: Path
) -> None:
    scene = make_scene()
    plain = mapped(scene, spec, tmp_path / 'plain')
    stored = (scene.optical_pixels + 1000).astype(np.uint16)
    for scale, offset in ((1, -1000), (1e-4, -0.1)):
        write_raster(scene.optical, stored, nodata=0)
        declare(scene.optical, scale, offset)
        found = mapped(scene, spec, tmp_path / f'{scale}')
        np.testing.assert_allclose(found['confidence'], plain['confidence'], atol=1e-5)
        # in the unit of the file, which says so
        np.testing.assert_allclose(found['reconstruction'], stored, atol=1)
        with rasterio.open(tmp_path / f'{scale}' / 'map_reconstruction.tif') as raster:
            assert (raster.scales[3], raster.offsets[3]) == (scale, offset)
            assert raster.descriptions == ('B02', 'B03', 'B04', 'B08')
    # a checkpoint that does not know its unit: reflectance 0 and 1 are the ends of its range
    unknown = mapped(scene, replace(spec, optical_scale=None), tmp_path / 'unknown')
    np.testing.assert_allclose(unknown['confidence'], plain['confidence'], atol=1e-5)
    # dB x 100 that say so; and power that is said to be
    write_raster(scene.optical, scene.optical_pixels, nodata=0)
    write_raster(scene.sar, np.rint(scene.sar_pixels * 100).astype(np.int16), transform=PLACE)
    declare(scene.sar, 0.01, 0)
    found = mapped(scene, spec, tmp_path / 'hundredths')
    np.testing.assert_allclose(found['confidence'], plain['confidence'], atol=1e-3)
    write_raster(scene.sar, 10 ** (scene.sar_pixels / 10), transform=PLACE)
    found = mapped(scene, spec, tmp_path / 'power', sar_unit='power')
    np.testing.assert_allclose(found['confidence'], plain['confidence'], atol=1e-5)
    # as the file itself may say
    with rasterio.open(scene.sar, 'r+') as raster:
        raster.units = ('power', 'power')
    found = mapped(scene, spec, tmp_path / 'declared')
    np.testing.assert_allclose(found['confidence'], plain['confidence'], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('kind', 'change', 'cause'),
    [
        ('optical', lambda x: (x / 10000).astype(np.float32), r'0\.\.1.*--optical_range 0 1'),
        ('optical', lambda x: -(x / 1000.0), r'SAR .*in dB.*Exchange'),
        ('optical', lambda x: (x + 20000).astype(np.uint16), 'uint16 radiances'),
        ('optical', lambda x: (x // 40).clip(1).astype(np.uint8), 'picture of 8 bits'),
        ('sar', lambda x: 10 ** (x / 10), 'linear backscatter.*--sar_unit power'),
        ('sar', lambda x: 10 ** (x / 20), 'linear backscatter.*amplitude'),
        ('sar', lambda x: x * 100, 'dB x 100'),
        ('sar', lambda x: (x + 40) * 20, 'digital numbers.*--sar_unit amplitude'),
    ],
)
def test_values_that_cannot_be_those_of_the_training(
    kind: str, change, cause: str, make_scene, write_raster, spec, tmp_path: Path
) -> None:
    scene = make_scene()
    path = getattr(scene, kind)
    profile = {'transform': PLACE} if kind == 'sar' else {'nodata': None}
    write_raster(path, change(getattr(scene, f'{kind}_pixels')), **profile)
    with pytest.raises(SceneError, match=rf'{path.name}: found .*band 1: .*{cause}') as caught:
        mapped(scene, spec, tmp_path / 'refused')
    assert f'--{kind}_range' in str(caught.value)
    assert not list((tmp_path / 'refused').iterdir())
    mapped(scene, spec, tmp_path / 'accepted', max_clipped=1)


def test_decibels_for_a_network_of_their_hundredths(make_scene, spec, tmp_path: Path) -> None:
    hundredths = replace(spec, sar_range=((-2500.0, -3250.0), (0.0, 0.0)))
    with pytest.raises(SceneError, match='dB, not dB x 100'):
        mapped(make_scene(), hundredths, tmp_path / 'refused')


def test_a_range_that_is_stated_is_believed(make_scene, write_raster, spec, tmp_path: Path) -> None:
    scene = make_scene()
    plain = mapped(scene, spec, tmp_path / 'plain')
    write_raster(scene.optical, (scene.optical_pixels / 10000).astype(np.float32), nodata=0)
    stated = replace(spec, optical_range=((0,), (1,)))
    found = mapped(scene, stated, tmp_path / 'stated')
    np.testing.assert_allclose(found['confidence'], plain['confidence'], atol=1e-5)


def test_a_band_of_one_value_is_told(
    make_scene, write_raster, spec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene = make_scene()
    scene.optical_pixels[2] = 500
    write_raster(scene.optical, scene.optical_pixels, nodata=0)
    with caplog.at_level(logging.WARNING):
        mapped(scene, spec, tmp_path / 'map')
    assert 'band 3: 0% outside, 0% missing, constant' in caplog.text


@pytest.mark.parametrize('resampling', ['nearest', 'bilinear'])
def test_missing_measurements_of_any_kind_are_filled_alike(
    resampling: str, make_scene, write_raster, spec, tmp_path: Path
) -> None:
    scene = make_scene()
    found = {}
    for name, value in {'nan': np.nan, 'inf': np.inf, '-inf': -np.inf}.items():
        pixels = scene.sar_pixels.copy()
        pixels[:, 40:50, 30:60] = value
        write_raster(scene.sar, pixels, transform=PLACE)
        found[name] = mapped(scene, spec, tmp_path / name, sar_resampling=resampling)
        assert np.isfinite(found[name]['confidence']).all()
    np.testing.assert_array_equal(found['nan']['confidence'], found['inf']['confidence'])
    np.testing.assert_array_equal(found['nan']['confidence'], found['-inf']['confidence'])


def test_sar_without_data_however_it_is_said_and_read(
    make_scene, write_raster, spec, tmp_path: Path
) -> None:
    scene = make_scene()
    pixels = scene.sar_pixels.copy()
    pixels[:, :, :30] = -99
    with_alpha = np.concatenate([pixels, (pixels[:1] != -99).astype(pixels.dtype)])
    ways = {
        'declared': (pixels, {'nodata': -99}, {}),
        'stated': (pixels, {}, {'sar_nodata': -99}),
        'alpha': (with_alpha, {}, {}),
    }
    expected = np.zeros((90, 90), bool)
    expected[:, :30] = True
    # on the same extent, and on a grid that is warped
    places = {'same': PLACE, 'other': Affine(10, 0, 760310, 0, -10, 1898420)}
    for place, transform in places.items():
        for way, (values, profile, facts) in ways.items():
            write_raster(scene.sar, values, transform=transform, **profile)
            if way == 'alpha':
                colors = [ColorInterp.gray, ColorInterp.undefined, ColorInterp.alpha]
                with rasterio.open(scene.sar, 'r+') as raster:
                    raster.colorinterp = colors
            found = mapped(scene, replace(spec, **facts), tmp_path / f'{place}{way}')
            missing = np.isnan(found['confidence'][0])
            if place == 'same':
                np.testing.assert_array_equal(missing, expected)
            else:
                np.testing.assert_array_equal(missing[2:, 2:28], True)
                np.testing.assert_array_equal(missing[2:-2, 33:-2], False)


def test_resampling_counts_where_extents_match(make_scene, spec) -> None:
    scene = make_scene()
    read_with = {
        resampling: ScenePairReader(scene.optical, scene.sar, spec, resampling).read(0, 300, 300)
        for resampling in ('nearest', 'bilinear')
    }
    near, smooth = (images.sar[0, 0] for images in read_with.values())
    assert (near - smooth).abs().mean() > 0.01
    # nothing moves, it is only smoother
    assert smooth.std() < 0.95 * near.std()
    offsets = [((near[:, 9:-9] - smooth[:, 9 + i : 291 + i]) ** 2).mean() for i in (-2, 0, 2)]
    assert offsets[1] < min(offsets[0], offsets[2])
