"""Scenes to maps, through real files."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import torch
from helpers import read
from matplotlib.image import imread
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from rasterio.warp import transform as transform_points
from scene_process import start
from torch import Tensor, nn

from torchgeo_cloudseg.inference import (
    MapOptions,
    ResumeError,
    SceneSpec,
    predict_scene,
    sliding_window,
)
from torchgeo_cloudseg.inference.scenes.pair_reader import ScenePairReader
from torchgeo_cloudseg.models import CloudSegNet
from torchgeo_cloudseg.rasters import SceneError

PAPER = MapOptions(stride=80, blend='average')
EVERYTHING = ('confidence', 'probabilities', 'quicklook')


class Constant(nn.Module):
    """Always the same class."""

    def forward(self, optical: Tensor, sar: Tensor) -> Tensor:
        height, width = optical.shape[-2:]
        logits = torch.zeros(len(optical), 3, height * 3 // 10, width * 3 // 10)
        logits[:, 1] = 1
        return logits


def scaled(scene) -> tuple[Tensor, Tensor]:
    """Optical and SAR image as the network should see them, written out by hand."""
    optical = torch.from_numpy(scene.optical_pixels.astype(np.float32)) / 10000
    low = np.array([-25.0, -32.5])[:, None, None]
    sar = np.clip((scene.sar_pixels - low) / -low, 0, 1).astype(np.float32)
    height, width = optical.shape[-2:]
    rows = np.floor((np.arange(height) + 0.5) * 0.3).astype(int)
    cols = np.floor((np.arange(width) + 0.5) * 0.3).astype(int)
    return optical[None], torch.from_numpy(sar[:, rows][:, :, cols])[None]


@pytest.mark.parametrize(
    'options', [PAPER, MapOptions(120, None, 'hann'), MapOptions(120, None, 'crop')]
)
def test_map_equals_the_sliding_window_on_tensors(
    make_scene: Callable, network: nn.Module, wobbly, spec, tmp_path: Path, options: MapOptions
) -> None:
    scene = make_scene(430, 370)
    options = MapOptions(options.stride, blend=options.blend, products=EVERYTHING)
    out = predict_scene(
        wobbly, scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec, options=options
    )
    logits = sliding_window(
        wobbly, *scaled(scene), stride=options.stride, blend=options.blend, scale=0.3
    )
    expected = logits.softmax(dim=1)[0]
    np.testing.assert_allclose(read(out['probabilities']), expected, atol=1e-5)
    np.testing.assert_allclose(read(out['confidence'])[0], expected.amax(0), atol=1e-5)
    classes = read(out['classes'])[0]
    assert (classes == expected.argmax(0).numpy()).mean() > 0.999
    assert len(np.unique(classes)) == 3
    assert not (tmp_path / 'map.tif.parts').exists()


def test_georeference_colors_names_and_overviews(
    make_scene: Callable, network: nn.Module, spec: SceneSpec, tmp_path: Path
) -> None:
    scene = make_scene(1750, 1790)
    out = predict_scene(network, scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec)
    assert set(out) == {'classes'}
    with rasterio.open(out['classes']) as raster:
        assert raster.crs == rasterio.CRS.from_epsg(32646)
        # SAR at 10 m lies on the grid of the labels
        assert raster.transform == Affine(10, 0, 760300, 0, -10, 1898410)
        assert raster.shape == (525, 537)
        assert raster.dtypes == ('uint8',)
        assert raster.nodata == 255
        assert raster.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
        assert raster.overviews(1) == [2]
        colors = raster.colormap(1)
        assert [colors[i][:3] for i in range(3)] == list(spec.class_colors)
        assert colors[255][3] == 0
        assert raster.colorinterp[0].name == 'palette'
        names = json.loads(raster.tags()['CLASS_NAMES'])
        assert names == {'0': 'forest', '1': 'water', '2': 'town'}
        assert raster.descriptions == ('land cover',)
    with rasterio.open(out['classes'], overview_level=0) as overview:
        small = overview.read(1)
    assert set(np.unique(small)) <= {0, 1, 2}
    band = ElementTree.parse(tmp_path / 'map.tif.aux.xml').find('PAMRasterBand')
    assert [c.text for c in band.findall('CategoryNames/Category')] == list(spec.class_names)
    # GDAL keeps the attribute table in the sidecar, from 3.12 on in the file
    text = (tmp_path / 'map.tif.aux.xml').read_text() + out['classes'].read_bytes().decode('latin1')
    table = text[
        text.index('<GDALRasterAttributeTable') : text.index('</GDALRasterAttributeTable>')
    ]
    rows = ElementTree.fromstring(f'{table}</GDALRasterAttributeTable>').findall('Row')
    assert [cell.text for cell in rows[2]] == ['2', 'town', '250', '0', '0']


def test_class_names_where_gdal_must_not_list_folders(
    make_scene, spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as TorchGeo's command line has it
    monkeypatch.setenv('GDAL_DISABLE_READDIR_ON_OPEN', 'EMPTY_DIR')
    scene = make_scene()
    predict_scene(Constant(), scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec)
    band = ElementTree.parse(tmp_path / 'map.tif.aux.xml').find('PAMRasterBand')
    assert [c.text for c in band.findall('CategoryNames/Category')] == list(spec.class_names)


def test_grid_without_a_matching_sar_grid_follows_the_optical_image(
    make_scene: Callable, network: nn.Module, spec: SceneSpec, tmp_path: Path, write_raster
) -> None:
    scene = make_scene(304, 301)
    sar = write_raster(
        tmp_path / 'sar.tif',
        np.full((2, 80, 80), -10.0, np.float32),
        transform=Affine(20, 0, 760000, 0, -20, 1899000),
    )
    out = predict_scene(network, scene.optical, sar, tmp_path / 'map.tif', spec=spec)
    with rasterio.open(out['classes']) as raster:
        assert raster.transform == Affine(10, 0, 760299, 0, -10, 1898412)
        assert raster.shape == (91, 90)


@pytest.mark.parametrize(
    ('resolution', 'pixel', 'size'), [('optical', 3, 300), (6, 6, 150), (15.0, 15, 60)]
)
def test_resolution_of_the_map(
    make_scene, spec, tmp_path: Path, resolution, pixel: float, size: int
) -> None:
    scene = make_scene()
    out = predict_scene(
        Constant(), scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec,
        options=MapOptions(resolution=resolution),
    )  # fmt: skip
    with rasterio.open(out['classes']) as raster:
        assert raster.transform == Affine(pixel, 0, 760299, 0, -pixel, 1898412)
        assert raster.shape == (size, size)
        assert (raster.read() == 1).all()


@pytest.mark.parametrize(
    ('resolution', 'window', 'size'), [(12.5, None, 72), (7.0, None, 129), ('label', 60, 90)]
)
def test_windows_that_are_not_given_fit_the_resolution(
    make_scene, spec, tmp_path: Path, resolution, window: int | None, size: int
) -> None:
    scene = make_scene()
    options = MapOptions(resolution=resolution, window=window)
    out = predict_scene(
        Constant(), scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec, options=options
    )
    classes = read(out['classes'])
    assert classes.shape == (1, size, size)
    assert (classes == 1).all()


def test_constant_network_gives_a_seamless_map(make_scene, spec, tmp_path: Path) -> None:
    scene = make_scene(555, 473)
    out = predict_scene(
        Constant(), scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec,
        options=MapOptions(products=['probabilities']),
    )  # fmt: skip
    assert (read(out['classes']) == 1).all()
    probabilities = read(out['probabilities'])
    assert probabilities.shape == (3, 167, 142)
    np.testing.assert_allclose(
        probabilities, np.broadcast_to(probabilities[:, :1, :1], probabilities.shape), atol=1e-6
    )


def test_shifting_the_scene_by_a_stride_shifts_the_map(
    wobbly, spec, tmp_path: Path, write_raster
) -> None:
    rng = np.random.default_rng(1)
    optical = rng.integers(1, 9000, (4, 600, 500), dtype=np.uint16)
    sar = rng.uniform(-30, 0, (2, 600, 500))
    maps = []
    for name, top in (('whole', 0), ('moved', 120)):
        place = {'transform': Affine(3, 0, 760299, 0, -3, 1898412 - 3 * top), 'nodata': None}
        inputs = [
            write_raster(tmp_path / f'{name}_{kind}.tif', pixels[:, top:], **place)
            for kind, pixels in (('optical', optical), ('sar', sar))
        ]
        out = predict_scene(wobbly, *inputs, tmp_path / f'{name}.tif', spec=spec)
        maps.append(read(out['classes'])[0])
        with rasterio.open(out['classes']) as raster:
            assert raster.transform.f == 1898412 - 3 * top
    # past the first overlap the same windows look at the same pixels
    np.testing.assert_array_equal(maps[1][48:], maps[0][36 + 48 :])


def test_missing_optical_pixels_become_nodata(
    write_raster, make_scene, network, spec, tmp_path: Path
) -> None:
    scene = make_scene(600, 600)
    pixels = scene.optical_pixels.copy()
    pixels[:, :, :250] = 0
    pixels[:, 400:] = 0
    pixels[0, 100:200, 300:400] = 0  # dark in one band is not missing
    pixels[:, 10, 500] = 0  # a pixel is not a map pixel
    write_raster(scene.optical, pixels, nodata=0)
    out = predict_scene(
        network, scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec,
        options=MapOptions(products=EVERYTHING),
    )  # fmt: skip
    classes = read(out['classes'])[0]
    missing = np.zeros_like(classes, dtype=bool)
    missing[:, :75] = True
    missing[120:] = True
    np.testing.assert_array_equal(classes == 255, missing)
    np.testing.assert_array_equal(np.isnan(read(out['probabilities'])[1]), missing)
    # rows of windows without data cost nothing: 5 rows, of which one is empty
    assert network.windows == 4 * 5


def test_undeclared_nodata_and_nan(write_raster, make_scene, network, spec, tmp_path: Path) -> None:
    scene = make_scene()
    pixels = scene.optical_pixels.astype(np.float32)
    pixels[:, :100] = 0
    pixels[:, -100:] = np.nan
    write_raster(scene.optical, pixels)
    out = predict_scene(network, scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec)
    classes = read(out['classes'])[0]
    assert (classes[:30] == 255).all()
    assert (classes[-30:] == 255).all()
    assert (classes[30:-30] != 255).all()


def test_fourth_band_of_8_bit_images_is_no_mask(write_raster, make_scene, tmp_path: Path) -> None:
    scene = make_scene()
    pixels = (scene.optical_pixels // 40).clip(1).astype(np.uint8)
    pixels[3, :100] = 0  # water in the near infrared
    pixels[:, 200:] = 0  # nothing
    write_raster(scene.optical, pixels)
    with rasterio.open(scene.optical) as raster:
        assert raster.colorinterp[3].name == 'alpha'
    spec = SceneSpec(
        ('a', 'b', 'c'), ((0, 0, 0), (1, 1, 1), (2, 2, 2)), optical_range=((0,), (255,))
    )
    out = predict_scene(Constant(), scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec)
    classes = read(out['classes'])[0]
    assert (classes[:60] == 1).all()
    assert (classes[60:] == 255).all()


def test_missing_sar_measurements_are_filled_as_in_training(
    write_raster, make_scene, spec, tmp_path: Path
) -> None:
    scene = make_scene()
    pixels = scene.sar_pixels.copy()
    pixels[:, 20:30, 20:30] = np.nan
    with rasterio.open(scene.sar) as raster:
        write_raster(scene.sar, pixels, transform=raster.transform)
    seen = []

    class Spy(Constant):
        def forward(self, optical: Tensor, sar: Tensor) -> Tensor:
            seen.append(sar.clone())
            return super().forward(optical, sar)

    out = predict_scene(Spy(), scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec)
    assert (read(out['classes']) == 1).all()
    rows = np.floor((np.arange(300) + 0.5) * 0.3).astype(int)
    mean = np.nanmean(pixels[:, rows][:, :, rows])
    filled = seen[0][0, :, 80, 80].numpy()
    np.testing.assert_allclose(filled, [(mean + 25) / 25, (mean + 32.5) / 32.5], atol=1e-6)


def test_a_scene_left_open_does_not_end_the_environment_of_others(make_scene, spec) -> None:
    scene = make_scene()
    left = ScenePairReader(scene.optical, scene.sar, spec)
    with rasterio.Env(GDAL_CACHEMAX=64):
        del left
        gc.collect()
        assert rasterio.env.hasenv()


def test_sar_in_another_crs_is_warped(write_raster, spec, tmp_path: Path) -> None:
    optical = write_raster(tmp_path / 'optical.tif', np.full((4, 300, 300), 5000, np.uint16))
    lon, lat = transform_points(CRS_46N, 'EPSG:4326', [760299 + 450], [1898412 - 450])
    # a step in backscatter along the meridian through the middle
    step = 0.0001
    sar = np.full((2, 400, 400), -25.0, np.float32)
    sar[:, :, 200:] = -5.0
    sar_path = write_raster(
        tmp_path / 'sar.tif',
        sar,
        crs='EPSG:4326',
        transform=Affine(step, 0, lon[0] - 200 * step, 0, -step, lat[0] + 200 * step),
    )

    class BySar(nn.Module):
        def forward(self, optical: Tensor, sar: Tensor) -> Tensor:
            value = sar[:, :1]
            return torch.cat([0.5 - value, value - 0.5, torch.full_like(value, -9)], dim=1)

    out = predict_scene(
        BySar(), optical, sar_path, tmp_path / 'map.tif', spec=spec,
        options=MapOptions(resolution='optical'),
    )  # fmt: skip
    classes = read(out['classes'])[0]
    assert (classes[:, :140] == 0).all()
    assert (classes[:, 160:] == 1).all()


CRS_46N = 'EPSG:32646'


def test_ground_without_sar_is_nodata(write_raster, make_scene, network, spec, tmp_path) -> None:
    scene = make_scene()
    half = write_raster(
        tmp_path / 'half.tif',
        np.full((2, 300, 150), -10.0, np.float32),
        transform=Affine(3, 0, 760299, 0, -3, 1898412),
    )
    out = predict_scene(network, scene.optical, half, tmp_path / 'map.tif', spec=spec)
    classes = read(out['classes'])[0]
    assert (classes[:, :45] != 255).all()
    assert (classes[:, 45:] == 255).all()


def test_reconstruction_in_stored_units(write_raster, make_scene, spec, tmp_path: Path) -> None:
    scene = make_scene(330, 310)
    pixels = scene.optical_pixels.copy()
    pixels[:, :, 280:] = 0
    write_raster(scene.optical, pixels, nodata=0)

    class Echo(Constant):
        def forward(self, optical: Tensor, sar: Tensor) -> Tensor:
            outer = super().forward(optical, sar)
            return type('Output', (), {'logits': outer, 'reconstruction': optical})()

    out = predict_scene(
        Echo(), scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec,
        options=MapOptions(products=['reconstruction']),
    )  # fmt: skip
    with rasterio.open(out['reconstruction']) as raster, rasterio.open(scene.optical) as source:
        assert raster.transform == source.transform
        assert raster.dtypes == source.dtypes
        assert raster.nodata == 0
        np.testing.assert_allclose(raster.read(), pixels, atol=1)
        assert (raster.read()[:, :, 280:] == 0).all()


def test_dark_reconstruction_is_not_missing(write_raster, make_scene, spec, tmp_path: Path) -> None:
    scene = make_scene()
    pixels = scene.optical_pixels.astype(np.float32)
    pixels[:, :, 150:] = 0
    write_raster(scene.optical, pixels, nodata=0)

    class Dark(Constant):
        def forward(self, optical: Tensor, sar: Tensor) -> Tensor:
            outer = super().forward(optical, sar)
            return type('Output', (), {'logits': outer, 'reconstruction': 0 * optical - 1})()

    out = predict_scene(
        Dark(), scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec,
        options=MapOptions(products=['reconstruction']),
    )  # fmt: skip
    with rasterio.open(out['reconstruction']) as raster:
        mask = raster.read_masks(1) > 0
        assert raster.read(1).max() < 1e-6
    assert mask[:, :150].all()
    assert not mask[:, 150:].any()


@pytest.mark.slow
def test_cloudsegnet_on_the_real_sample(real_root: Path, spec, tmp_path: Path) -> None:
    files = {
        kind: next((real_root / 'train').glob(f'{kind}_*/*/*.tif'))
        for kind in ('planet_cloudy', 'S1', 'landcover')
    }
    torch.manual_seed(0)
    model = CloudSegNet('mit_b0', num_classes=3)
    out = predict_scene(
        model, files['planet_cloudy'], files['S1'], tmp_path / 'map.tif', spec=spec,
        options=MapOptions(products=['reconstruction', 'quicklook', 'confidence']),
    )  # fmt: skip
    assert model.training
    assert set(out) == {'classes', 'confidence', 'reconstruction', 'quicklook'}
    assert out['quicklook'].read_bytes().startswith(b'\x89PNG')
    with rasterio.open(out['classes']) as raster, rasterio.open(files['landcover']) as label:
        assert raster.transform == label.transform
        assert raster.crs == label.crs
        assert raster.shape == label.shape
        assert raster.read().max() < 3
    assert read(out['reconstruction']).shape == (4, 300, 300)


def test_a_scene_without_data_is_refused(
    write_raster, make_scene, network, spec, tmp_path: Path
) -> None:
    scene = make_scene()
    halves = np.zeros((4, 300, 300), np.uint16), np.zeros((2, 90, 90))
    for empty, path, profile in (
        (halves[0], scene.optical, {}),
        (halves[1], scene.sar, {'nodata': 0, 'transform': Affine(10, 0, 760300, 0, -10, 1898410)}),
    ):
        kept = path.read_bytes()
        write_raster(path, empty, **profile)
        with pytest.raises(SceneError, match=rf'{path.name}: found no measurement at all'):
            predict_scene(network, scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec)
        path.write_bytes(kept)
    # each has data, but not at the same place
    optical, sar = scene.optical_pixels.copy(), scene.sar_pixels.copy()
    optical[:, :150], sar[:, 45:] = 0, 0
    write_raster(scene.optical, optical)
    write_raster(scene.sar, sar, nodata=0, transform=Affine(10, 0, 760300, 0, -10, 1898410))
    with pytest.raises(SceneError, match='no pixel of which both images have data'):
        predict_scene(network, scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec)
    assert not list(tmp_path.glob('map*'))


def test_quicklook_of_a_narrow_scene_has_room_for_its_legend(
    make_scene, network, spec, tmp_path: Path
) -> None:
    scene = make_scene(900, 60)
    out = predict_scene(
        network, scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec,
        options=MapOptions(products=['quicklook']),
    )  # fmt: skip
    picture = imread(out['quicklook'])[..., :3]
    height, width = picture.shape[:2]
    assert width > 0.8 * height
    # the bottom holds the legend, and nothing of it touches the sides
    legend = (picture[-height // 10 :] < 0.9).any(axis=(0, 2))
    assert legend.any()
    assert not legend[: width // 20].any()
    assert not legend[-width // 20 :].any()


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_pixels(make_scene, wobbly, spec, tmp_path: Path) -> None:
    scene = make_scene(2000, 200)
    whole, output = tmp_path / 'whole.tif', tmp_path / 'out' / 'map.tif'
    args = str(scene.optical), str(scene.sar)
    kwargs = {'spec': spec, 'options': MapOptions(products=['probabilities'])}
    expected = predict_scene(wobbly, *args, whole, **kwargs)
    process, _ = start(*args, str(output), **kwargs, delay_s=0.2)
    parts = output.with_name('map.tif.parts')
    deadline = time.monotonic() + 60
    while len(list(parts.glob('band-*.npz'))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    done = len(list(parts.glob('band-*.npz')))
    assert 5 <= done < 17
    assert not output.exists()
    # a part that was cut off does not count
    (parts / 'band-000002.npz').write_bytes(b'PK')
    before = wobbly.windows
    resumed = predict_scene(wobbly, *args, output, **kwargs, resume=True)
    # two windows a row; one row reaches into each of the two runs of missing bands
    assert wobbly.windows - before == 2 * (17 - done + 1 + 2)
    assert not parts.exists()
    for product in ('classes', 'probabilities'):
        np.testing.assert_array_equal(read(resumed[product]), read(expected[product]))


def test_resume_keeps_finished_rows_and_finished_maps(
    make_scene, wobbly, spec, tmp_path: Path
) -> None:
    scene = make_scene(700, 160)
    kwargs = {'spec': spec, 'progress': False, 'resume': True}
    output = tmp_path / 'map.tif'

    class Tired(type(wobbly)):
        def forward(self, optical: Tensor, sar: Tensor) -> Tensor:
            if self.windows == 3:
                raise KeyboardInterrupt
            return super().forward(optical, sar)

    with pytest.raises(KeyboardInterrupt):
        predict_scene(Tired(0.3), scene.optical, scene.sar, output, **kwargs)
    assert not output.exists()
    predict_scene(wobbly, scene.optical, scene.sar, output, **kwargs)
    # 6 rows of windows: 3 were done, and one reaches into the next
    assert wobbly.windows == 3 + 1
    predict_scene(wobbly, scene.optical, scene.sar, output, **kwargs)
    assert wobbly.windows == 4
    resumed = read(output)
    predict_scene(wobbly, *(scene.optical, scene.sar, output), spec=spec, overwrite=True)
    assert wobbly.windows == 4 + 6
    np.testing.assert_array_equal(resumed, read(output))


def test_work_of_another_run_is_not_resumed(make_scene, network, spec, tmp_path: Path) -> None:
    scene = make_scene(700, 160)

    class Broken(Constant):
        def forward(self, optical: Tensor, sar: Tensor) -> Tensor:
            self.calls = getattr(self, 'calls', 0) + 1
            if self.calls == 3:
                raise KeyboardInterrupt
            return super().forward(optical, sar)

    args = (scene.optical, scene.sar, tmp_path / 'map.tif')
    with pytest.raises(KeyboardInterrupt):
        predict_scene(Broken(), *args, spec=spec, batch_size=1)
    with pytest.raises(ResumeError, match=r'options: .*stride.* then.*resume'):
        predict_scene(Constant(), *args, spec=spec, options=PAPER, resume=True)
    with pytest.raises(ResumeError, match='network'):
        predict_scene(network, *args, spec=spec, resume=True)
    out = predict_scene(network, *args, spec=spec)
    assert out['classes'].exists()


@pytest.mark.slow
# nothing fits; the first bands fit but not a larger one; all bands fit, but not the map
@pytest.mark.parametrize(('limit', 'bands'), [(300, 0), (10_000, 0), (400_000, 10)])
def test_full_disk_keeps_what_is_done(
    make_scene, wobbly, spec, tmp_path: Path, limit: int, bands: int
) -> None:
    scene = make_scene(1200, 600)
    output = tmp_path / 'map.tif'
    kwargs = {'spec': spec, 'options': MapOptions(products=['probabilities'])}
    args = str(scene.optical), str(scene.sar), str(output)
    process, result = start(*args, **kwargs, file_limit=limit)
    message = result.recv()
    process.join()
    assert message.startswith(f'OutputError: {output}: cannot be written')
    assert 'Make room' in message
    # what is said to be kept is there
    assert (f'{bands} finished row block' in message) == bool(bands)
    assert not list(tmp_path.glob('map*.tif'))
    assert len(list(tmp_path.glob('map.tif.parts/band-*.npz'))) == bands
    predict_scene(wobbly, *args, **kwargs, resume=True)
    assert read(output).shape == (1, 360, 180)


def test_truncated_input_is_named(make_scene, network, spec, tmp_path: Path) -> None:
    scene = make_scene(900, 200)
    content = scene.optical.read_bytes()

    class Cutting(type(network)):
        """Something cuts the file off while it is mapped."""

        def forward(self, optical: Tensor, sar: Tensor) -> Tensor:
            os.truncate(scene.optical, len(content) // 2)
            return super().forward(optical, sar)

    with pytest.raises(SceneError, match=r'scene_optical.tif: found unreadable pixels .* resume'):
        predict_scene(Cutting(), scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec)
    assert not (tmp_path / 'map.tif').exists()
    assert list(tmp_path.glob('map.tif.parts/band-*.npz'))
    shutil.rmtree(tmp_path / 'map.tif.parts')
    # found out beforehand: nothing is left behind
    for size in (len(content) // 2, 2000):
        scene.optical.write_bytes(content[:size])
        with pytest.raises(SceneError, match='unreadable'):
            predict_scene(network, scene.optical, scene.sar, tmp_path / 'map.tif', spec=spec)
        assert not list(tmp_path.glob('map*'))


def test_inputs_that_do_not_fit(write_raster, make_scene, network, spec, tmp_path: Path) -> None:
    scene = make_scene()
    elsewhere = write_raster(
        tmp_path / 'elsewhere.tif', scene.sar_pixels, transform=Affine(10, 0, 1e5, 0, -10, 1e6)
    )
    placeless = write_raster(tmp_path / 'placeless.tif', scene.sar_pixels, crs=None)
    three = write_raster(tmp_path / 'three.tif', scene.optical_pixels[:3])
    broken = tmp_path / 'broken.tif'
    broken.write_bytes(b'II*\x00nothing')
    for optical, sar, message in (
        (scene.optical, elsewhere, r'elsewhere.tif: found a SAR image over .* overlaps'),
        (scene.optical, placeless, 'placeless.tif: found no coordinate reference system'),
        (three, scene.sar, r'three.tif: found 3 band\(s\).*bands \(1, 2, 3, 4\).*optical_bands'),
        (scene.optical, three.with_name('none.tif'), 'none.tif: found no such file'),
        (broken, scene.sar, 'broken.tif: found an unreadable file'),
    ):
        with pytest.raises(SceneError, match=message):
            predict_scene(network, optical, sar, tmp_path / 'map.tif', spec=spec)
    assert not list(tmp_path.glob('map*'))


def test_more_bands_than_expected_are_not_guessed(
    write_raster, make_scene, spec, tmp_path: Path
) -> None:
    scene = make_scene()
    output, exact = tmp_path / 'map.tif', replace(spec, exact=('optical', 'sar'))
    five = np.concatenate([scene.optical_pixels, np.full((1, 300, 300), 1000, np.uint16)])
    write_raster(scene.optical, five)
    with pytest.raises(SceneError, match=r'found 5 band\(s\), expected the optical bands'):
        predict_scene(Constant(), scene.optical, scene.sar, output, spec=exact)
    # a mask is not one of them
    with rasterio.open(scene.optical, 'r+') as raster:
        raster.colorinterp = (*raster.colorinterp[:4], ColorInterp.alpha)
    for expected in (exact, spec):
        args = scene.optical, scene.sar, output
        predict_scene(Constant(), *args, spec=expected, overwrite=True)


def test_arguments_that_do_not_fit(make_scene, network, spec, tmp_path: Path) -> None:
    scene = make_scene()
    args = (network, scene.optical, scene.sar)
    with pytest.raises(ValueError, match=r'ends in \.tif'):
        predict_scene(*args, tmp_path / 'map.png', spec=spec)
    with pytest.raises(ValueError, match='replace its own input'):
        predict_scene(*args, scene.optical, spec=spec)
    with pytest.raises(ValueError, match='stride=85'):
        predict_scene(*args, tmp_path / 'map.tif', spec=spec, options=MapOptions(stride=85))
    with pytest.raises(ValueError, match='resolution=-3'):
        predict_scene(*args, tmp_path / 'm.tif', spec=spec, options=MapOptions(resolution=-3))
    with pytest.raises(ValueError, match='no such branch'):
        predict_scene(
            *args, tmp_path / 'm.tif', spec=spec, options=MapOptions(products=['reconstruction'])
        )
    with pytest.raises(ValueError, match="device='nowhere': cannot be used here"):
        predict_scene(*args, tmp_path / 'm.tif', spec=spec, device='nowhere')
    dot = make_scene(1, 1, 'dot')
    with pytest.raises(ValueError, match='1 x 1 pixels are less than a pixel of the map'):
        predict_scene(network, dot.optical, dot.sar, tmp_path / 'm.tif', spec=spec)
    assert not list(tmp_path.glob('m*'))
    two = SceneSpec(('a', 'b'), ((0, 0, 0), (1, 1, 1)))
    with pytest.raises(ValueError, match=r'distinguishes 3 classes, .* names for 2'):
        predict_scene(*args, tmp_path / 'm.tif', spec=two)


def test_scene_without_georeference(write_raster, network, spec, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    place = {'crs': None, 'transform': Affine.identity()}
    optical = write_raster(
        tmp_path / 'o.tif', rng.integers(1, 9000, (4, 200, 200), dtype=np.uint16), **place
    )
    sar = write_raster(tmp_path / 's.tif', rng.uniform(-30, 0, (2, 200, 200)), **place)
    out = predict_scene(network, optical, sar, tmp_path / 'map.tif', spec=spec)
    with rasterio.open(out['classes']) as raster:
        assert raster.crs is None
        assert raster.shape == (60, 60)
