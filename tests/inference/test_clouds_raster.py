"""Clouds on GeoTIFFs: no seams, nothing lost, nothing half-written."""

from contextlib import closing

import numpy as np
import pytest
import rasterio
import torch
from helpers import read, write
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from torchgeo_cloudseg._random import combined_seed
from torchgeo_cloudseg.inference.clouds import add_clouds_to_raster, open_clear, place_of
from torchgeo_cloudseg.rasters import SceneError
from torchgeo_cloudseg.transforms import CloudField, CloudRecipe

HEIGHT, WIDTH = 300, 410


@pytest.fixture
def clear(tmp_path):
    ground = np.random.default_rng(0).integers(300, 3000, (4, HEIGHT, WIDTH)).astype(np.uint16)
    path = write(tmp_path / 'clear.tif', ground, nodata=0)
    with rasterio.open(path, 'r+') as file:
        file.descriptions = ('blue', 'green', 'red', 'nir')
        file.update_tags(ACQUIRED='2020-10-01')
    return path


def run(path, name='cloudy.tif', **options):
    options = {'recipe': 'broken', 'progress': False} | options
    return add_clouds_to_raster(path, path.parent / name, **options)


def test_blocks_fit_together_to_the_same_clouds(clear):
    whole = run(clear, 'whole.tif', block_size=1024)
    parts = run(clear, 'parts.tif', block_size=64)
    difference = read(whole.image).astype(int) - read(parts.image)
    assert np.abs(difference).max() <= 1
    assert (read(whole.mask) != read(parts.mask)).sum() <= 2
    np.testing.assert_allclose(read(whole.alpha), read(parts.alpha), atol=1e-5)


def test_equals_the_transform_on_the_whole_scene(clear):
    recipe = CloudRecipe.preset('m3mcr', cover=0.4)
    files = run(clear, recipe=recipe, block_size=128)
    with closing(open_clear(clear)) as source:
        place, bounds = place_of(source, None)
        image = torch.from_numpy(source.raster.read())
    field = CloudField.draw(
        recipe, [combined_seed([0, *bounds])], (HEIGHT, WIDTH), place.pixel_size
    )
    expected = field.apply(image, data_range=(0, 10000))
    assert place.pixel_size == (3, 3)
    assert np.abs(read(files.alpha) - expected.alpha.numpy()).max() < 0.02
    assert np.abs(read(files.image).astype(int) - expected.image.numpy()).mean() < 15


@pytest.mark.parametrize('cover', [0.05, 0.5, 0.95])
def test_cover_is_met_over_pixels_with_data(clear, cover):
    image = read(clear)
    image[:, :, :150] = 0
    clear = write(clear.with_name('half.tif'), image, nodata=0)
    files = run(clear, recipe=CloudRecipe.preset('broken', cover=cover), block_size=100)
    mask = read(files.mask)[0]
    assert (mask[:, :150] == 255).all()
    assert (read(files.image)[:, :, :150] == 0).all()
    assert np.isnan(read(files.alpha)[0, :, :150]).all()
    assert abs((mask == 1).sum() / (mask != 255).sum() - cover) < 0.001


@pytest.mark.parametrize('cover', [0.0, 1.0])
def test_no_cloud_and_nothing_but_cloud(clear, cover):
    files = run(clear, recipe=CloudRecipe.preset('broken', cover=cover))
    assert (read(files.mask) == cover).all()
    if cover == 0:
        np.testing.assert_array_equal(read(files.image), read(clear))


def test_natural_cover_takes_one_pass(clear):
    files = run(clear, recipe=CloudRecipe.preset('broken', cover=None))
    assert 0.1 < (read(files.mask) == 1).mean() < 0.9


def test_georeference_dtype_and_names_are_kept(clear):
    files = run(clear)
    with rasterio.open(clear) as before, rasterio.open(files.image) as after:
        for name in ('crs', 'transform', 'dtypes', 'nodata', 'descriptions', 'shape', 'count'):
            assert getattr(after, name) == getattr(before, name), name
        assert after.tags()['ACQUIRED'] == '2020-10-01'
    with rasterio.open(files.mask) as mask, rasterio.open(files.alpha) as alpha:
        assert mask.crs == alpha.crs == 'EPSG:32646'
        assert (mask.dtypes, mask.nodata) == (('uint8',), 255)
        assert alpha.dtypes == ('float32',)
    assert files.mask.name == 'cloudy_mask.tif'
    assert sorted(path.name for path in clear.parent.iterdir()) == [
        'clear.tif',
        'cloudy.tif',
        'cloudy_alpha.tif',
        'cloudy_mask.tif',
    ]


def test_same_place_same_clouds(clear):
    first, again, other = run(clear, 'a.tif'), run(clear, 'b.tif'), run(clear, 'c.tif', seed=1)
    np.testing.assert_array_equal(read(first.image), read(again.image))
    assert (read(first.mask) != read(other.mask)).mean() > 0.1


def test_alpha_band_and_inner_mask_survive(tmp_path):
    image = np.full((4, 64, 96), 90, np.uint8)
    image[3] = 255
    image[3, :10] = 0
    path = write(tmp_path / 'rgba.tif', image, photometric='RGB', alpha='YES')
    with rasterio.open(path) as file:
        assert file.colorinterp[3] == ColorInterp.alpha
    files = run(path, recipe=CloudRecipe.preset('thick', cover=0.5))
    np.testing.assert_array_equal(read(files.image)[3], image[3])
    assert (read(files.mask)[0, :10] == 255).all()
    path = write(tmp_path / 'masked.tif', image[:3])
    with rasterio.open(path, 'r+') as file:
        file.write_mask(image[3])
    files = run(path, 'masked_cloudy.tif')
    with rasterio.open(files.image) as file:
        np.testing.assert_array_equal(file.dataset_mask(), image[3])


def test_floats_with_nan(tmp_path):
    image = np.random.default_rng(1).uniform(0.02, 0.3, (3, 70, 50)).astype(np.float32)
    image[:, 20:30] = np.nan
    path = write(tmp_path / 'nan.tif', image, nodata=np.nan)
    files = run(path)
    np.testing.assert_array_equal(np.isnan(read(files.image)), np.isnan(image))
    assert (read(files.mask)[0, 20:30] == 255).all()


def test_degrees_become_metres(tmp_path):
    image = np.full((1, 40, 60), 50, np.uint8)
    step = 0.25 / 5556
    path = write(
        tmp_path / 'sheet.tif', image, crs='EPSG:4490', transform=from_origin(114, 31, step, step)
    )
    with closing(open_clear(path)) as source:
        grid, _ = place_of(source, None)
    assert grid.pixel_size[0] == pytest.approx(5.00, abs=0.02)
    assert grid.pixel_size[1] == pytest.approx(5.01 * np.cos(np.deg2rad(31)), abs=0.02)


def test_files_without_georeference_need_a_pixel_size(tmp_path):
    path = write(
        tmp_path / 'plain.tif', np.full((1, 40, 60), 50, np.uint8), crs=None, transform=None
    )
    with pytest.raises(ValueError, match=r'plain.tif: found no georeference.*pixel_size='):
        run(path)
    run(path, pixel_size=5)


def test_errors_leave_nothing_behind(clear, tmp_path):
    with pytest.raises(ValueError, match='data_range'):
        run(clear, data_range=(0, 255))
    assert [path.name for path in tmp_path.iterdir()] == ['clear.tif']
    run(clear)
    with pytest.raises(FileExistsError, match='exists already'):
        run(clear)
    run(clear, overwrite=True, seed=3)
    with pytest.raises(ValueError, match='same file twice'):
        run(clear, 'clear.tif', overwrite=True)
    with pytest.raises(FileNotFoundError, match='no such folder'):
        run(clear, 'missing/cloudy.tif')
    with pytest.raises(SceneError, match=r'absent\.tif: found no such file'):
        run(tmp_path / 'absent.tif')


def test_unusable_inputs(tmp_path):
    text = tmp_path / 'text.tif'
    text.write_text('not an image')
    with pytest.raises(ValueError, match=r'text.tif: found an unreadable file'):
        run(text)
    image = np.ones((1, 20, 20))
    turned = write(
        tmp_path / 'turned.tif', image, transform=rasterio.Affine(3, 1, 0, 1, -3, 0), nodata=None
    )
    with pytest.raises(ValueError, match='north up'):
        run(turned)
    with pytest.raises(ValueError, match='found dtype int32'):
        run(write(tmp_path / 'int32.tif', image.astype(np.int32)), 'a.tif')
    with pytest.raises(ValueError, match='no pixel with data'):
        run(write(tmp_path / 'empty.tif', image * 0, nodata=0), 'b.tif')
    with pytest.raises(ValueError, match='real numbers'):
        run(write(tmp_path / 'complex.tif', image.astype(np.complex64)), 'c.tif')
    with pytest.raises(ValueError, match='pixel_size=-1'):
        run(write(tmp_path / 'one.tif', image), 'd.tif', pixel_size=-1)
    with pytest.raises(ValueError, match='block_size=8'):
        run(tmp_path / 'one.tif', 'd.tif', block_size=8)
