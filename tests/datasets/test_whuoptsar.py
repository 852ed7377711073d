"""WHU-OPT-SAR: folders, division, places, labels, faults."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import torch
from matplotlib import pyplot as plt
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_cloudseg.datasets import WHUOPTSAR, ScenesError
from torchgeo_cloudseg.datasets.whuoptsar.layout import official_division, sheets_touch
from torchgeo_cloudseg.datasets.whuoptsar.sheets import sheet_bounds
from torchgeo_cloudseg.miniature import write_miniature_whuoptsar
from torchgeo_cloudseg.miniature.whuoptsar import (
    GEOREFERENCED_SHEETS,
    NARROW_SHEETS,
    TEST_SHEETS,
    TRAIN_SHEETS,
)
from torchgeo_cloudseg.samplers import CenterSceneSampler, RandomSceneSampler

if TYPE_CHECKING:
    from scene_trees import OrdinaryUser

SIZE = (80, 120)


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('whu')
    return write_miniature_whuoptsar(folder, height_px=SIZE[0], width_px=SIZE[1], progress=False)


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(root, tmp_path / 'copy', ignore=lambda *_: ['.cloudseg']))


def whole(dataset: WHUOPTSAR) -> dict[str, dict[str, Any]]:
    return {query.scene: dataset[query] for query in CenterSceneSampler(dataset)}


def test_samples_hold_what_the_files_hold(root: Path) -> None:
    for name, sample in whole(WHUOPTSAR(root)).items():
        assert sample['image'].dtype == sample['image_sar'].dtype == torch.float32
        assert sample['mask'].dtype == torch.int64
        for key, folder in (('image', 'optical'), ('image_sar', 'sar')):
            with rasterio.open(root / folder / f'{name}.tif') as raster:
                np.testing.assert_array_equal(sample[key].numpy(), raster.read())
        with rasterio.open(root / 'lbl' / f'{name}.tif') as raster:
            stored = raster.read(1)
        codes = np.array([10, 20, 30, 40, 50, 60, 70])
        width = stored.shape[1]
        mask = sample['mask'].numpy()
        known = mask[:, :width] != 255
        np.testing.assert_array_equal(codes[mask[:, :width][known]], stored[known])
        assert (stored[~known] == 0).all()
        # where a label is a pixel narrower than its image, nothing is known
        assert (mask[:, width:] == 255).all()
        assert (width < SIZE[1]) == (name in NARROW_SHEETS)


def test_division(root: Path) -> None:
    names = {split: list(whole(WHUOPTSAR(root, split))) for split in ('train', 'val', 'test')}
    assert sorted(names['test']) == sorted(TEST_SHEETS)
    assert sorted(names['train'] + names['val']) == sorted(TRAIN_SHEETS)
    assert names['val']
    for name in names['val']:
        assert not any(sheets_touch(name, test) for test in official_division()['test'])
    assert list(whole(WHUOPTSAR(root, 'val'))) == names['val']


def test_places_are_the_files_own_or_nominal(root: Path) -> None:
    for split in ('train', 'test'):
        for name, sample in whole(WHUOPTSAR(root, split)).items():
            assert bool(sample['nominal']) == (name not in GEOREFERENCED_SHEETS)
            west, _, _, north = sheet_bounds(name)
            transform = sample['transform'].tolist()
            assert transform[2] == pytest.approx(west, abs=1e-9)
            assert transform[5] == pytest.approx(north, abs=1e-9)
            assert transform[0] == pytest.approx(0.25 / SIZE[1])
            assert int(sample['epsg']) == 4326


def test_folder_may_be_called_image(copy: Path) -> None:
    (copy / 'optical').rename(copy / 'image')
    assert len(whole(WHUOPTSAR(copy))) == 5


def test_band_order(root: Path) -> None:
    assert WHUOPTSAR(root).all_bands[0] == 'Blue'
    assert WHUOPTSAR(root, band_order='RGBN').all_bands[0] == 'Red'
    with pytest.raises(ValueError, match='band_order'):
        WHUOPTSAR(root, band_order='NRGB')  # type: ignore[arg-type]


def test_list_of_sheets(root: Path, tmp_path: Path) -> None:
    listed = tmp_path / 'sheets.txt'
    listed.write_text('\n'.join([TRAIN_SHEETS[0], f'{TEST_SHEETS[0]}.tif']))
    assert sorted(whole(WHUOPTSAR(root, file_list=listed))) == sorted(
        [TRAIN_SHEETS[0], TEST_SHEETS[0]]
    )
    listed.write_text('NH49E004021')
    with pytest.raises(ValueError, match='NH49E004021'):
        WHUOPTSAR(root, file_list=listed)


def test_modalities_are_read_only_when_asked_for(copy: Path) -> None:
    shutil.rmtree(copy / 'sar')
    dataset = WHUOPTSAR(copy, modalities=('image', 'mask'))
    sample = dataset[next(iter(RandomSceneSampler(dataset, 32)))]
    assert 'image_sar' not in sample
    with pytest.raises(ScenesError, match='sar'):
        WHUOPTSAR(copy)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError):
        WHUOPTSAR(tmp_path)


@pytest.mark.parametrize(
    ('fault', 'expected'),
    [
        ('name', 'not-a-sheet'),
        ('missing', 'no such file'),
        ('size', 'NI49E024017'),
        ('cut', 'NI49E024017'),
    ],
)
def test_faults_are_named(copy: Path, fault: str, expected: str) -> None:
    label = copy / 'lbl/NI49E024017.tif'
    if fault == 'name':
        label.rename(label.with_name('not-a-sheet.tif'))
    elif fault == 'missing':
        label.unlink()
    elif fault == 'cut':
        label.write_bytes(label.read_bytes()[:100])
    else:
        with rasterio.open(label) as raster:
            profile, values = raster.profile, raster.read()
        with rasterio.open(label, 'w', **(profile | {'width': 60})) as raster:
            raster.write(values[..., :60])
    with pytest.raises(ScenesError, match=expected):
        WHUOPTSAR(copy)


def test_folder_that_may_not_be_listed(root: Path, lend: Callable[[Path], OrdinaryUser]) -> None:
    user = lend(root)
    folder = user.tree / 'sar'
    folder.chmod(0)
    with user.acting(), pytest.raises(ScenesError) as error:
        WHUOPTSAR(user.tree, index_dir=False)
    (problem,) = error.value.problems
    assert problem.path == str(folder)
    assert problem.found == 'an unreadable folder (Permission denied)'


def test_unknown_code_is_an_error(copy: Path) -> None:
    path = copy / 'lbl/NI49E024018.tif'
    with rasterio.open(path, 'r+') as raster:
        values = raster.read()
        values[0, 5, 7] = 99
        raster.write(values)
    dataset = WHUOPTSAR(copy)
    query = next(q for q in CenterSceneSampler(dataset) if q.scene == 'NI49E024018')
    with pytest.raises(ValueError, match=r'99'):
        dataset[query]


def test_plot(root: Path) -> None:
    dataset = WHUOPTSAR(root)
    sample = next(iter(whole(dataset).values()))
    figure = dataset.plot(sample, suptitle='a sheet')
    assert [axes.get_title() for axes in figure.axes] == ['Optical', 'SAR', 'Label']
    plt.close(figure)
