"""The miniature world: the same for a seed, and understood by neither sensor alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from torch import from_numpy
from torch.nn.functional import avg_pool2d

from torchgeo_cloudseg.datasets.m3mcr.layout import LAYERS
from torchgeo_cloudseg.miniature import write_miniature_m3mcr, write_miniature_whuoptsar

#: Class of each code of the labels; 0 is none.
CLASSES = np.zeros(101, int)
CLASSES[[10, 20, 30, 40, 50, 60, 80, 90]] = 1, 2, 2, 3, 4, 5, 6, 6


def read(root: Path, key: str) -> np.ndarray:
    """A layer of all scenes, (N, C, H, W)."""
    scenes = []
    for path in sorted(root.rglob(f'{LAYERS[key].folder}_*_p_*.tif')):
        with rasterio.open(path) as raster:
            scenes.append(raster.read())
    return np.stack(scenes)


def contents(root: Path) -> dict[str, bytes]:
    """All files by their path."""
    paths = (path for path in root.rglob('*') if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def mean_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """How well classes (N,) are told apart by features (C, N), if these are normal."""
    distances = []
    classes = np.unique(labels)
    for label in classes:
        of_label = features[:, labels == label]
        shift, spread = features - of_label.mean(1, keepdims=True), np.cov(of_label)
        distance = (shift * np.linalg.solve(spread, shift)).sum(0)
        distances.append(distance + np.linalg.slogdet(spread)[1])
    right = classes[np.argmin(distances, 0)] == labels
    return float(np.mean([right[labels == label].mean() for label in classes]))


@pytest.mark.slow
def test_land_cover_takes_both_sensors(tmp_path: Path) -> None:
    write_miniature_m3mcr(tmp_path, train_areas=4, test_areas=0, progress=False)
    labels = CLASSES[read(tmp_path, 'mask')][:, 0, 1::3, 1::3].ravel()
    seen = {}
    # means over 30 m
    for key, pixels in (('image_clear', 10), ('image', 10), ('image_sar', 3)):
        mean = avg_pool2d(from_numpy(read(tmp_path, key).astype(float)), pixels).numpy()
        seen[key] = mean.swapaxes(0, 1).reshape(mean.shape[1], -1)[:, labels > 0]
    labels = labels[labels > 0]
    clear, cloudy, sar = (mean_accuracy(values, labels) for values in seen.values())
    clear_both, cloudy_both = (
        mean_accuracy(np.concatenate([seen[key], seen['image_sar']]), labels)
        for key in ('image_clear', 'image')
    )
    assert set(labels) == {1, 2, 3, 4, 5, 6}
    assert clear_both > 0.88
    assert clear_both > clear + 0.02
    # clouds hide much of the land, of which SAR shows some
    assert cloudy < clear - 0.2
    assert cloudy_both > max(cloudy, sar) + 0.1


@pytest.mark.slow
def test_clouds(tmp_path: Path) -> None:
    write_miniature_m3mcr(tmp_path, train_areas=4, test_areas=0, progress=False)
    masks = np.stack([np.load(path) for path in sorted(tmp_path.rglob('cloudmask_*.npy'))])
    cloudy, clear = (read(tmp_path, key).astype(float) for key in ('image', 'image_clear'))
    assert 0.3 < masks.mean() < 0.5
    assert masks.mean((1, 2)).min() > 0.05
    # blue land is dark: how much brighter it becomes is how thick the cloud is, and much is thin
    blue, *_, infrared = (cloudy - clear).swapaxes(0, 1)
    assert np.median(blue[masks]) > 1000
    assert np.quantile(blue[masks], 0.2) < 1000
    assert 4500 < blue[masks].max() < 8500
    # beside clouds there is haze, and shadow
    assert np.quantile(np.abs(blue[~masks]), 0.999) < 1000
    assert (infrared[~masks] < -0.1 * clear[:, 3][~masks]).mean() > 0.05


@pytest.mark.parametrize(
    'write',
    [pytest.param(write_miniature_m3mcr, marks=pytest.mark.slow), write_miniature_whuoptsar],
)
def test_a_seed_says_it_all(write: Any, tmp_path: Path) -> None:
    whole: dict[str, Any] = {'train_areas': 2, 'test_areas': 1, 'patches_per_area': 2}
    part = {**whole, 'train_areas': 1}
    if write is write_miniature_whuoptsar:
        whole = {'height_px': 60, 'width_px': 90}
        part = {**whole, 'train_sheets': ()}
    first = contents(write(tmp_path / 'first', seed=3, progress=False, **whole))
    assert contents(write(tmp_path / 'again', seed=3, progress=False, **whole)) == first
    # what is written does not depend on what else is
    fewer = contents(write(tmp_path / 'fewer', seed=3, progress=False, **part))
    assert 0 < len(fewer) < len(first)
    assert fewer.items() < first.items()
    other = contents(write(tmp_path / 'other', seed=4, progress=False, **whole))
    assert other.keys() == first.keys()
    assert not set(other.values()) & set(first.values())


@pytest.mark.parametrize(
    ('write', 'arguments', 'named'),
    [
        (write_miniature_m3mcr, {'seed': -1}, 'seed=-1'),
        (write_miniature_m3mcr, {'patches_per_area': 0}, 'patches_per_area=0'),
        (write_miniature_m3mcr, {'zones': (4326,)}, '32601 to 32660'),
        (write_miniature_m3mcr, {'seasons': ('autumn',)}, "'fall'"),
        (write_miniature_whuoptsar, {'width_px': 1}, 'width_px=1'),
        (write_miniature_whuoptsar, {'test_sheets': ('NI49E024017',)}, 'test_sheets'),
    ],
)
def test_what_cannot_be_written(
    write: Any, arguments: dict[str, Any], named: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=named):
        write(tmp_path, progress=False, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_test_areas_may_have_other_skies(tmp_path: Path) -> None:
    kinds = ('usual', 'overcast', 'cumulus', 'fair')
    options = {'train_areas': 1, 'test_areas': 4, 'patches_per_area': 1, 'progress': False}
    write_miniature_m3mcr(tmp_path / 'usual', **options)
    write_miniature_m3mcr(tmp_path / 'other', test_skies=kinds, **options)
    pairs = {
        file.relative_to(tmp_path / 'usual'): (
            file,
            tmp_path / 'other' / file.relative_to(tmp_path / 'usual'),
        )
        for file in (tmp_path / 'usual').rglob('*.*')
    }
    # the same ground, and the same clouds where nothing else is asked for
    changed = {
        str(name) for name, (one, other) in pairs.items() if one.read_bytes() != other.read_bytes()
    }
    assert len(changed) == 6
    assert all('cloudy' in name or 'cloudmask' in name for name in changed)
    assert not any('fall_1' in name for name in changed)
    covers = [
        np.load(other).mean()
        for name, (_, other) in sorted(pairs.items())
        if 'cloudmask_fall_1' not in str(name) and 'cloudmask' in str(name)
    ]
    assert max(covers) > 0.7
    # of those in winter, the last
    assert 0 < covers[-1] < 0.2
    with pytest.raises(ValueError, match='test_skies'):
        write_miniature_m3mcr(tmp_path, test_skies=['green'])
