"""Several dates of one place to one map, through real files."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from helpers import LEFT, TOP, read, write
from rasterio.transform import Affine
from rasterio.warp import Resampling, calculate_default_transform, reproject
from scene_process import Brightness
from torch import Tensor, nn

from torchgeo_cloudseg.inference import (
    MapOptions,
    ResumeError,
    SceneSpec,
    find_scenes,
    find_stacks,
    predict_scene,
)
from torchgeo_cloudseg.inference.scenes.job import RUN_TAG
from torchgeo_cloudseg.inference.scenes.stacks import stack_text
from torchgeo_cloudseg.inference.windows.dates import DateMeans
from torchgeo_cloudseg.rasters import SceneError

EVERYTHING = ('confidence', 'probabilities', 'cloud', 'reconstruction')


class Hazy(nn.Module):
    """Classes by brightness, and bright blocks are clouds."""

    tells_opacity = True

    def __init__(self, wobble: float = 0.0, limit: int = 10**6) -> None:
        super().__init__()
        self.classes = Brightness(wobble)
        self.limit = limit

    def forward(self, optical: Tensor, sar: Tensor) -> Any:
        if self.classes.windows >= self.limit:
            raise MemoryError('as if the machine had none left')
        logits = self.classes(optical, sar)
        haze = torch.nn.functional.avg_pool2d(optical.mean(dim=1, keepdim=True), 10)
        haze = haze.repeat_interleave(3, -1).repeat_interleave(3, -2)
        return SimpleNamespace(logits=logits, opacity=0.9 * haze, reconstruction=optical)


@pytest.fixture
def dates(make_scene: Callable, tmp_path: Path) -> list[Any]:
    """Two dates of one place: on the second, it is brighter in places, and some is missing."""
    rng = np.random.default_rng(1)
    scenes = [make_scene(330, 310, name=f'place_2020070{day}') for day in (1, 9)]
    pixels = scenes[1].optical_pixels
    haze = np.repeat(np.repeat(rng.integers(0, 4000, (33, 31)), 10, 0), 10, 1)
    pixels = np.clip(pixels + haze.astype(np.uint16), 1, 10000).astype(np.uint16)
    pixels[:, 200:250, :100] = 0
    write(scenes[1].optical, pixels, nodata=0)
    return scenes


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of classes along the first axis."""
    powers = np.exp(logits - logits.max(axis=0))
    return powers / powers.sum(axis=0)


def mapped(
    net: nn.Module, scenes: Sequence[Any], output: Path, spec: SceneSpec, **kwargs: Any
) -> dict[Any, np.ndarray]:
    """All products of some dates."""
    optical, sar = zip(*((scene.optical, scene.sar) for scene in scenes), strict=True)
    options = kwargs.pop('options', MapOptions(products=EVERYTHING, stride=120))
    files = predict_scene(
        net, optical, sar, output, spec=spec, options=options, progress=False, **kwargs
    )
    return {product: read(file) for product, file in files.items() if file.suffix == '.tif'}


def copied(scene: Any, name: str) -> Any:
    """The same date in a file of its own."""
    path = scene.optical.with_name(f'{name}.tif')
    shutil.copy(scene.optical, path)
    return SimpleNamespace(optical=path, sar=scene.sar)


def test_dates_are_weighed_as_the_equation_says(
    dates: list[Any], spec: SceneSpec, tmp_path: Path
) -> None:
    """From the products of the dates alone, in numpy."""
    alone = [mapped(Hazy(), [date], tmp_path / f'{i}.tif', spec) for i, date in enumerate(dates)]
    both = mapped(Hazy(), dates, tmp_path / 'both.tif', spec)
    weights = np.stack([(1 - one['cloud']) * one['confidence'] for one in alone])
    weights = np.nan_to_num(weights)  # no data, no weight
    logits = np.stack([np.nan_to_num(np.log(one['probabilities'])) for one in alone])
    expected = softmax((weights * logits).sum(axis=0) / weights.sum(axis=0))
    np.testing.assert_allclose(both['probabilities'], expected, atol=1e-5)
    np.testing.assert_allclose(both['confidence'][0], expected.max(axis=0), atol=1e-5)
    np.testing.assert_array_equal(both['classes'][0], both['probabilities'].argmax(axis=0))
    assert (both['classes'] != alone[0]['classes']).mean() > 0.02
    opacity = np.stack([np.nan_to_num(one['cloud']) for one in alone])
    mean = (weights * opacity).sum(axis=0) / weights.sum(axis=0)
    np.testing.assert_allclose(both['cloud'], mean, atol=1e-5)
    # where a date has no data, the other one answers alone
    gap = np.isnan(alone[1]['confidence'][0])
    assert 0.02 < gap.mean() < 0.1
    for product in EVERYTHING[:3]:
        np.testing.assert_array_equal(both[product][:, gap], alone[0][product][:, gap])
    shown = [one['reconstruction'].astype(float) for one in alone]
    image = both['reconstruction'].astype(float)
    np.testing.assert_array_equal(image[:, 200:250, :100], shown[0][:, 200:250, :100])
    lowest, highest = np.minimum(*shown) - 1, np.maximum(*shown) + 1
    assert ((image >= lowest) & (image <= highest))[:, :200].all()


@pytest.mark.slow
@pytest.mark.parametrize('net', [Hazy(0.3), Brightness(0.3)], ids=['opacity', 'confidence'])
def test_the_same_date_twice_is_that_date(
    dates: list[Any], spec: SceneSpec, tmp_path: Path, net: nn.Module
) -> None:
    options = MapOptions(products=EVERYTHING[: 4 if isinstance(net, Hazy) else 2], stride=120)
    once = mapped(net, dates[1:], tmp_path / 'once.tif', spec, options=options)
    twins = [dates[1], copied(dates[1], 'twin'), copied(dates[1], 'third')]
    thrice = mapped(net, twins, tmp_path / 'thrice.tif', spec, options=options)
    assert len(once) == len(options.products)
    for product, pixels in once.items():
        np.testing.assert_array_equal(thrice[product], pixels)


def test_a_date_without_data_changes_nothing(
    dates: list[Any], spec: SceneSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # the earliest, whose grid counts
    empty = copied(dates[0], 'place_20200601')
    with rasterio.open(empty.optical, 'r+') as raster:
        raster.write(np.zeros((4, 330, 310), np.uint16))
    without = mapped(Hazy(0.3), dates, tmp_path / 'without.tif', spec)
    caplog.set_level(logging.WARNING)
    beside = mapped(Hazy(0.3), [*dates, empty], tmp_path / 'beside.tif', spec)
    assert 'place_20200601.tif: found no measurement at all; this date is left out' in caplog.text
    for product, pixels in without.items():
        np.testing.assert_array_equal(beside[product], pixels)
    with pytest.raises(SceneError, match='found no measurement at all'):
        mapped(Hazy(), [empty, empty], tmp_path / 'none.tif', spec)
    assert not (tmp_path / 'none.tif').exists()


def test_nothing_is_mapped_where_no_date_has_data(
    dates: list[Any], spec: SceneSpec, tmp_path: Path
) -> None:
    for date in dates:
        pixels = read(date.optical)
        pixels[:, 100:200, 100:200] = 0
        write(date.optical, pixels, nodata=0)
    both = mapped(Hazy(0.3), dates, tmp_path / 'map.tif', spec)
    missing = np.zeros((99, 93), bool)
    missing[30:60, 30:60] = True
    np.testing.assert_array_equal(both['classes'][0] == 255, missing)
    np.testing.assert_array_equal(np.isnan(both['confidence'][0]), missing)
    assert (both['reconstruction'][:, 100:200, 100:200] == 0).all()


@pytest.mark.slow
def test_dates_on_other_grids(dates: list[Any], spec: SceneSpec, tmp_path: Path) -> None:
    """A pixel further east, and in another zone; in any order."""
    pixels, profile = dates[0].optical_pixels, {'nodata': 0}
    east = tmp_path / 'place_20200801.tif'
    write(east, pixels[:, :, 1:], transform=Affine(3, 0, LEFT + 3, 0, -3, TOP), **profile)
    zone, place = 'EPSG:32647', Affine(3, 0, LEFT, 0, -3, TOP)
    bounds = LEFT, TOP - 3 * 330, LEFT + 3 * 310, TOP
    there, width, height = calculate_default_transform('EPSG:32646', zone, 310, 330, *bounds)
    turned = np.zeros((4, height, width), np.uint16)
    reproject(
        pixels, turned, src_crs='EPSG:32646', src_transform=place, dst_crs=zone,
        dst_transform=there, src_nodata=0, resampling=Resampling.nearest,
    )  # fmt: skip
    other = write(tmp_path / 'place_20200802.tif', turned, crs=zone, transform=there, **profile)
    further = [SimpleNamespace(optical=path, sar=dates[0].sar) for path in (east, other)]
    alone = mapped(Hazy(), dates[:1], tmp_path / 'alone.tif', spec)
    beside = mapped(Hazy(), [dates[0], further[0]], tmp_path / 'beside.tif', spec)
    for product in ('classes', 'confidence'):
        np.testing.assert_allclose(beside[product][..., 3:], alone[product][..., 3:], atol=1e-5)
    all_three = mapped(Hazy(), [dates[0], *further], tmp_path / 'three.tif', spec)
    assert (all_three['classes'] == alone['classes']).mean() > 0.97
    again = mapped(Hazy(), [*further[::-1], dates[0]], tmp_path / 'again.tif', spec)
    for product, values in all_three.items():
        np.testing.assert_array_equal(again[product], values)
    with rasterio.open(tmp_path / 'again.tif') as raster:
        # the grid of the earliest
        assert (raster.crs.to_epsg(), raster.shape) == (32646, (99, 93))


def test_what_is_not_of_one_place_is_refused(
    dates: list[Any], spec: SceneSpec, tmp_path: Path
) -> None:
    away = Affine(3, 0, LEFT + 9000, 0, -3, TOP)
    far = SimpleNamespace(optical=tmp_path / 'far_20200720.tif', sar=dates[0].sar)
    write(far.optical, dates[0].optical_pixels, transform=away, nodata=0)
    with pytest.raises(SceneError, match=r'far_20200720.*overlaps .*place_20200701_optical\.tif'):
        mapped(Hazy(), [dates[0], far], tmp_path / 'map.tif', spec)
    write(far.optical, dates[0].optical_pixels[:, 1:], crs=None, transform=None, nodata=0)
    with pytest.raises(SceneError, match=r'far_20200720.*no coordinate.*place_20200701_optical'):
        mapped(Hazy(), [dates[0], far], tmp_path / 'map.tif', spec)
    with pytest.raises(ValueError, match='found 2 optical and 3 SAR images'):
        predict_scene(
            Hazy(), [dates[0].optical] * 2, [dates[0].sar] * 3, tmp_path / 'map.tif', spec=spec
        )
    assert not list(tmp_path.glob('map*'))


@pytest.mark.slow
def test_resumed_and_told_apart(dates: list[Any], spec: SceneSpec, tmp_path: Path) -> None:
    how = {'options': MapOptions(products=EVERYTHING, stride=160), 'batch_size': 2}
    whole = mapped(Hazy(0.3), dates, tmp_path / 'whole.tif', spec, **how)
    output, third = tmp_path / 'map.tif', copied(dates[0], 'place_20200801')
    with pytest.raises(MemoryError):
        # two windows a row and date: the second row is done for the first date only
        mapped(Hazy(0.3, limit=6), dates, output, spec, **how)
    assert len(list(tmp_path.glob('map.tif.parts/band-*'))) == 1
    with pytest.raises(ResumeError, match=r'further: .*place_20200709.* then, .*place_20200801'):
        mapped(Hazy(0.3), [*dates, third], output, spec, resume=True, **how)
    net = Hazy(0.3)
    resumed = mapped(net, dates[::-1], output, spec, resume=True, **how)
    assert net.classes.windows == 2 * 4
    for product, values in whole.items():
        np.testing.assert_array_equal(resumed[product], values)
    # complete: nothing is done again
    net = Hazy(0.3)
    mapped(net, dates, output, spec, resume=True, **how)
    assert net.classes.windows == 0
    with rasterio.open(output) as raster:
        run = raster.tags()[RUN_TAG]
    mapped(net, [*dates, third], output, spec, overwrite=True, **how)
    with rasterio.open(output) as raster:
        assert raster.tags()[RUN_TAG] != run
    # a SAR image exchanged between dates is another run, too
    mapped(net, [*dates[:1], SimpleNamespace(optical=dates[1].optical, sar=dates[0].sar)],
           output, spec, overwrite=True, **how)  # fmt: skip
    with rasterio.open(output) as raster:
        assert raster.tags()[RUN_TAG] != run


def test_networks_without_opacity_say_so_once(
    dates: list[Any], spec: SceneSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Silent(Brightness):
        """Of a name of its own."""

    options = MapOptions(products=('confidence',))
    for name in ('first', 'second'):
        mapped(Silent(), dates, tmp_path / f'{name}.tif', spec, options=options)
    assert caplog.text.count('Silent does not tell the opacity of clouds') == 1


def test_places_are_told_by_where_images_lie(dates: list[Any], tmp_path: Path) -> None:
    """The same name in two folders; a place further east; an image that lies nowhere."""
    paths = [tmp_path / day / 'image.tif' for day in ('may', 'june')]
    for path, date in zip(paths, dates, strict=True):
        path.parent.mkdir()
        shutil.copy(date.optical, path)
    sar = dates[0].sar
    away = Affine(3, 0, LEFT + 600, 0, -3, TOP)
    east = write(tmp_path / 'neighbor.tif', dates[0].optical_pixels, transform=away, nodata=0)
    with pytest.raises(ValueError, match='Several scenes are called image'):
        find_scenes(paths, sar)
    stacks = find_stacks([*paths, east], sar)
    assert [stack.name for stack in stacks] == ['image', 'neighbor']
    assert [pair[0] for pair in stacks[0].paths] == sorted(map(str, paths))
    assert stacks[1].paths == [(str(east), str(sar))]
    assert stack_text(stacks[0]).splitlines()[0] == 'image: one map of 2 date(s)'
    (everything,) = find_stacks([*paths, east], sar, one_place=True)
    assert len(everything.dates) == 3

    lost = write(tmp_path / 'lost.tif', dates[0].optical_pixels, crs=None, transform=None)
    listed = tmp_path / 'pairs.csv'
    listed.write_text(''.join(f'{path},{sar}\n' for path in (*paths, lost)))
    with pytest.raises(SceneError, match=r'lost\.tif: found an image that does not say where'):
        find_stacks(listed)
    faults: dict[str, Exception] = {}
    assert [stack.name for stack in find_stacks(listed, faults=faults)] == ['image', 'lost']
    assert list(faults) == [str(lost)]


def test_an_item_of_several_dates_spans_them(
    dates: list[Any], spec: SceneSpec, tmp_path: Path
) -> None:
    options = MapOptions(products=('stac', 'quicklook'))
    mapped(Hazy(), dates[::-1], tmp_path / 'map.tif', spec, options=options)
    facts = json.loads((tmp_path / 'map.json').read_text())['properties']
    ends = [facts[f'{end}_datetime'] for end in ('start', 'end')]
    assert ends == ['2020-07-01T00:00:00Z', '2020-07-09T00:00:00Z']
    assert facts['datetime'] is None
    assert all(str(date.optical) in facts['processing:lineage'] for date in dates)
    assert (tmp_path / 'map.png').is_file()


def test_means_over_dates_on_every_grid() -> None:
    """Logits and opacity at 3/10 of the image, the reconstruction on its own grid."""
    rng = np.random.default_rng(0)
    means = DateMeans(tells_opacity=True)
    total, sums = np.zeros((1, 20, 20)), np.zeros((4, 20, 20))
    for _ in range(4):
        logits, image = rng.normal(size=(3, 6, 6)), rng.uniform(size=(4, 20, 20))
        opacity, valid = rng.uniform(size=(1, 6, 6)), rng.uniform(size=(20, 20)) < 0.5
        outputs = [torch.from_numpy(values) for values in (logits, opacity, image)]
        means.add((0, 0), outputs, torch.from_numpy(valid))
        weight = softmax(logits).max(axis=0) * (1 - opacity)
        near = np.floor((np.arange(20) + 0.5) * 0.3).astype(int)
        weight = weight[:, near][:, :, near] * valid
        total, sums = total + weight, sums + weight * image
    ((row, column, found),) = means.windows()
    assert (row, column) == (0, 0)
    seen = total[0] > 0
    assert 0.8 < seen.mean() < 1
    np.testing.assert_allclose(found[2][:, seen], sums[:, seen] / total[:, seen], atol=1e-5)
