"""Labels and SAR images on other grids, in another CRS, or one for all scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from helpers import write
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform

from torchgeo_cloudseg.datasets import (
    LandCoverClass,
    Layer,
    SceneDataset,
    SceneFiles,
    ScenesError,
    by_key,
)
from torchgeo_cloudseg.samplers import CenterSceneSampler

LEFT, TOP = 500_000.0, 5_000_000.0


class Anywhere(SceneDataset):
    """Two scenes; labels are one raster for both, SAR images lie on grids of their own."""

    layers = by_key(
        Layer('image', 's2', ('B04', 'B02'), numbers=(3, 1)),
        Layer('image_sar', 's1', ('VV',), anywhere=True, may_be_nan=True, nodata=-9999),
        Layer('mask', 'labels', ('class',), anywhere=True, categorical=True),
    )
    legend = tuple(LandCoverClass(str(code), (code,), (code, 0, 0)) for code in range(1, 5))
    # declared as plain dicts, as a user would write them
    ranges = {'image': ((0.0,), (10000.0,)), 'image_sar': ((-25.0,), (0.0,))}  # noqa: RUF012
    fills = {'image_sar': (-25.0,)}  # noqa: RUF012
    splits = {'train': 'train'}  # noqa: RUF012

    @classmethod
    def scan(cls, root: Path, part: str, layers: Sequence[Layer]) -> Iterator[SceneFiles]:
        for name in ('a', 'b'):
            files = {'image': f'{name}_s2.tif', 'image_sar': f'{name}_s1.tif', 'mask': 'labels.tif'}
            yield SceneFiles(name, {layer.key: str(root / files[layer.key]) for layer in layers})


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def root(tmp_path: Path, rng: np.random.Generator) -> Path:
    for number, name in enumerate('ab'):
        place = from_origin(LEFT + 800 * number, TOP, 10, 10)
        pixels = rng.integers(1, 10000, (4, 64, 80)).astype(np.uint16)
        write(tmp_path / f'{name}_s2.tif', pixels, crs='EPSG:32632', transform=place)
        radar = rng.normal(-12, 3, (1, 40, 50)).astype(np.float32)
        where = from_origin(LEFT + 800 * number - 50, TOP + 50, 20, 20)
        write(tmp_path / f'{name}_s1.tif', radar, crs='EPSG:32632', transform=where)
    return tmp_path


def samples(root: Path) -> dict[str, dict]:
    zoned = Anywhere.zoned(root, index_dir=False)
    return {str(query.scene): zoned[query] for query in CenterSceneSampler(zoned)}


def test_one_label_raster_on_the_same_pixels(root: Path, rng: np.random.Generator) -> None:
    labels = rng.integers(1, 5, (1, 200, 300)).astype(np.uint8)
    place = from_origin(LEFT - 300, TOP + 400, 10, 10)
    write(root / 'labels.tif', labels, crs='EPSG:32632', transform=place)
    found = samples(root)
    for number, name in enumerate('ab'):
        cols = slice(30 + 80 * number, 110 + 80 * number)
        np.testing.assert_array_equal(found[name]['mask'] + 1, labels[0, 40:104, cols])
        with rasterio.open(root / f'{name}_s2.tif') as raster:
            np.testing.assert_array_equal(found[name]['image'], raster.read([3, 1]))


def test_labels_in_another_crs_and_beyond_them(root: Path, rng: np.random.Generator) -> None:
    (lon,), (lat,) = transform('EPSG:32632', 'EPSG:4326', [LEFT + 400], [TOP + 100])
    labels = rng.integers(1, 5, (1, 400, 400)).astype(np.uint8)
    place = from_origin(lon, lat, 2e-4, 1e-4)
    write(root / 'labels.tif', labels, crs='EPSG:4326', transform=place)
    sample = samples(root)['a']
    with rasterio.open(root / 'labels.tif') as raster, rasterio.open(root / 'a_s2.tif') as image:
        grid = {'crs': image.crs, 'transform': image.transform, 'height': 64, 'width': 80}
        with WarpedVRT(raster, resampling=Resampling.nearest, nodata=0, **grid) as view:
            expected = view.read(1).astype(int)
    # the western half lies beyond the labels
    assert 0.4 < (expected == 0).mean() < 0.6
    wanted = np.where(expected == 0, 255, expected - 1)
    assert (sample['mask'].numpy() == wanted).mean() > 0.999


def test_sar_is_brought_to_the_scene_and_missing_pixels_to_the_mean(
    root: Path, rng: np.random.Generator
) -> None:
    write(root / 'labels.tif', np.ones((1, 100, 200), np.uint8), crs='EPSG:32632',
          transform=from_origin(LEFT - 10, TOP + 10, 10, 10))  # fmt: skip
    with rasterio.open(root / 'a_s1.tif') as raster:
        radar, place = raster.read(), raster.transform
    ramp = np.arange(50, dtype=np.float32)[None, None].repeat(40, 1)
    write(root / 'a_s1.tif', ramp, crs='EPSG:32632', transform=place)
    found = samples(root)['a']['image_sar'][0, 10]
    # pixel centers at 5 m are 55 m from the left edge of the SAR image, whose pixels are 20 m
    np.testing.assert_allclose(found, (np.arange(80) * 10 + 55) / 20 - 0.5, atol=1e-4)
    radar[0, 10, 10], radar[0, 11, 10] = np.nan, -9999
    write(root / 'a_s1.tif', radar, crs='EPSG:32632', transform=place)
    found = samples(root)['a']['image_sar']
    assert found.min() > -30
    assert found.max() < 0


def test_files_that_lie_apart_and_bands_that_are_not_there(root: Path) -> None:
    write(root / 'labels.tif', np.ones((1, 100, 200), np.uint8), crs='EPSG:32633',
          transform=from_origin(LEFT, TOP, 10, 10))  # fmt: skip
    write(root / 'b_s2.tif', np.ones((2, 64, 80), np.uint16), crs='EPSG:32632',
          transform=from_origin(LEFT, TOP, 10, 10))  # fmt: skip
    with pytest.raises(ScenesError) as caught:
        samples(root)
    apart, bands = caught.value.problems
    assert apart.path.endswith('labels.tif')
    assert 'some of the ground of' in apart.expected
    assert (bands.path, bands.found) == (str(root / 'b_s2.tif'), '2 band(s)')
    assert 'bands 3, 1' in bands.expected


def test_labels_without_a_place_cover_the_scene(root: Path, rng: np.random.Generator) -> None:
    labels = rng.integers(1, 5, (1, 32, 40)).astype(np.uint8)
    write(root / 'labels.tif', labels, crs=None, transform=None)
    Anywhere.nominal_places = True
    try:
        found = samples(root)
    finally:
        Anywhere.nominal_places = False
    for name in 'ab':
        wanted = labels[0].repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(found[name]['mask'] + 1, wanted)
