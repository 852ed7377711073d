"""Whatever TorchGeo opens, `from_files` opens; and no index answers for other files."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers import write
from rasterio.transform import from_origin
from torchgeo.datasets import RasterDataset

from torchgeo_cloudseg.datasets import ZonedDataset
from torchgeo_cloudseg.index import datasets_by_crs, raster_table
from torchgeo_cloudseg.samplers import CenterSceneSampler

Watch = Callable[[ModuleType, str], list[str]]


class Gray(RasterDataset):
    """A data set of somebody else."""

    filename_glob = '*'
    filename_regex = r'.*\.(tif|TIF)$'


class Yearly(RasterDataset):
    """Files of a year."""

    filename_regex = r'.*_(?P<date>\d{4})\.tif$'
    date_format = '%Y'

    def __init__(self, paths: Any, year: int, **kwargs: Any) -> None:
        self.filename_glob = f'*_{year}.tif'
        super().__init__(paths, **kwargs)


def place(path: Path, number: int, crs: str = 'EPSG:32633') -> Path:
    pixels = np.full((1, 8, 8), number + 1, np.uint8)
    return write(path, pixels, crs=crs, transform=from_origin(5e5 + 1000 * number, 5e6, 10, 10))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of two files each; the working directory is above them."""
    for number in range(4):
        place(tmp_path / 'data' / 'ab'[number // 2] / f'{number}.tif', number)
    monkeypatch.chdir(tmp_path / 'data')
    return tmp_path / 'data'


def values(dataset: ZonedDataset) -> list[int]:
    """The gray of each file."""
    samples = [dataset[query]['image'].unique().tolist() for query in CenterSceneSampler(dataset)]
    assert all(len(sample) == 1 for sample in samples)
    return sorted(int(sample[0]) for sample in samples)


SPELLINGS: dict[str, Callable[[Path], Any]] = {
    'a folder': lambda root: root,
    'with a slash': lambda root: f'{root}/',
    'relative': lambda _: '.',
    'two folders': lambda _: ['a', 'b'],
    'with slashes': lambda _: ['a/', 'b/'],
    'mixed': lambda root: [root / 'a', 'b'],
    'files': lambda _: ['a/0.tif', 'a/1.tif', 'b/2.tif', 'b/3.tif'],
    'mixed files': lambda root: [
        'a/0.tif',
        str(root / 'a/1.tif'),
        Path('b/2.tif'),
        root / 'b/3.tif',
    ],
    'made one by one': lambda root: (root / name for name in 'ab'),
    'through dots': lambda root: f'{root}/a/../',
}


@pytest.mark.slow
@pytest.mark.parametrize('spelling', SPELLINGS)
def test_every_spelling_of_a_path(root: Path, spelling: str) -> None:
    paths = SPELLINGS[spelling]
    assert values(ZonedDataset.from_files(Gray, paths(root))) == [1, 2, 3, 4]
    assert values(ZonedDataset.from_files(Gray, paths(root))) == [1, 2, 3, 4]
    # as TorchGeo has them
    found = [path for part in datasets_by_crs(Gray, paths(root)) for path in part.index['filepath']]
    given = paths(root)
    files = Gray(given if isinstance(given, str | Path) else list(given)).files
    assert found == [file for file in files if not Path(file).is_dir()]


def test_spellings_share_an_index(root: Path, watch: Watch) -> None:
    opened = watch(raster_table, '_read_row')
    some, all_ = ['a/0.tif', root / 'b/3.tif'], ['a', 'b']
    for paths in (some, all_, some, [root / 'b', 'a/'], all_):
        ZonedDataset.from_files(Gray, paths)
    # two lists in turn: each file is opened once
    assert sorted(opened) == ['0.tif', '1.tif', '2.tif', '3.tif']


@pytest.mark.parametrize('scheme', ['/vsizip/{}/{}', '/vsizip//{}/{}', 'zip://{}!{}'])
def test_files_in_an_archive(
    root: Path, scheme: str, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    archive = root / 'all.zip'

    def pack(*numbers: int) -> list[str]:
        with zipfile.ZipFile(archive, 'w') as target:
            for name, number in zip('xy', numbers, strict=True):
                target.write(place(root / f'loose/{number}.tif', number), f'in/{name}.tif')
        os.utime(archive, ns=(1, 10**18 + sum(numbers)))
        where = str(archive).lstrip('/') if '//{}' in scheme and 'zip:' not in scheme else archive
        return [scheme.format(where, f'in/{name}.tif') for name in 'xy']

    opened = watch(raster_table, '_read_row')
    paths = pack(0, 1)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert values(ZonedDataset.from_files(Gray, paths)) == [1, 2]
    assert len(opened) == 2
    assert not caplog.records
    # another archive of the same name
    pack(2, 3)
    found = ZonedDataset.from_files(Gray, paths)
    assert len(opened) == 4
    assert found.index.geometry.total_bounds[0] > 0
    assert archive.is_file()
    assert {path.name for path in root.iterdir()} <= {'a', 'b', 'loose', 'all.zip', '.cloudseg'}
    assert not Path('zip:').exists()


def test_capitals_and_what_macos_leaves_behind(root: Path) -> None:
    place(root / 'a/4.TIF', 4)
    (root / 'a/._0.tif').write_bytes(b'\x00\x05\x16\x07')
    files = [*map(str, (root / 'a').glob('*')), str(root / 'a/._0.tif')]
    assert values(ZonedDataset.from_files(Gray, files)) == [1, 2, 5]


def test_other_arguments_have_an_index_of_their_own(tmp_path: Path, watch: Watch) -> None:
    for number, year in enumerate((2019, 2020, 2020)):
        place(tmp_path / f'{number}_{year}.tif', number)
    opened = watch(raster_table, '_read_row')
    for _ in range(2):
        for year, found in ((2019, [1]), (2020, [2, 3])):
            dataset = ZonedDataset.from_files(Yearly, tmp_path, year=year)
            assert values(dataset) == found
            assert {time.left.year for time in dataset.index.index} == {year}
    assert len(opened) == 3


def test_two_roots_in_one_index_dir(tmp_path: Path) -> None:
    for root in 'ab':
        place(tmp_path / root / 'x.tif', 'ab'.index(root))
        os.utime(tmp_path / root / 'x.tif', ns=(1, 10**18))
    for root in 'abab':
        dataset = ZonedDataset.from_files(Gray, tmp_path / root, index_dir=tmp_path / 'index')
        assert values(dataset) == ['ab'.index(root) + 1]
