"""The index of scenes: reused, brought up to date, safe against what may happen to it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio

from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.index import scene_table
from torchgeo_cloudseg.samplers import CenterSceneSampler

if TYPE_CHECKING:
    from scene_trees import OrdinaryUser

Find = Callable[..., Path]


@pytest.fixture
def headers(watch: Callable[..., list[str]]) -> list[str]:
    """Files of which the header was read."""
    return watch(scene_table, 'read_layer_header')


def make(root: Path, **kwargs: Any) -> M3MCR:
    return M3MCR(root, **{'val_share': 0} | kwargs)


def index_of(root: Path) -> Path:
    (path,) = (root / '.cloudseg').iterdir()
    return path


def same(one: M3MCR, other: M3MCR) -> bool:
    """Whether two data sets have the same scenes and pixels."""
    queries = list(CenterSceneSampler(one))
    return queries == list(CenterSceneSampler(other)) and all(
        np.array_equal(one[query][key], other[query][key])
        for query in queries
        for key in one.modalities
    )


def test_no_header_is_read_where_nothing_changed(tree: Path, headers: list[str]) -> None:
    first = make(tree)
    assert len(headers) == 6 * 5
    headers.clear()
    index = index_of(tree)
    before = index.stat().st_ino, index.stat().st_mtime_ns
    again = make(tree)
    assert not headers
    assert (index.stat().st_ino, index.stat().st_mtime_ns) == before
    assert same(first, again)
    # one split's folder, one index: validation and the container use the same
    make(tree, split='val', val_share=0.4)
    M3MCR.zoned(tree)
    assert not headers


def test_index_is_geoparquet_in_degrees(tree: Path) -> None:
    make(tree)
    table = gpd.read_parquet(index_of(tree))
    assert table.crs.to_epsg() == 4326
    assert len(table) == 6
    assert not any(os.path.isabs(path) for path in table['image'])  # noqa: PTH117
    utm = table.to_crs('EPSG:32646')
    assert utm.area.to_list() == pytest.approx([810_000] * 6, rel=1e-4)


def test_moved_data_set_keeps_its_index(tree: Path, headers: list[str]) -> None:
    make(tree)
    headers.clear()
    moved = tree.rename(tree.with_name('moved'))
    dataset = make(moved)
    assert not headers
    assert dataset.files[0].startswith(str(moved))
    dataset[next(iter(CenterSceneSampler(dataset)))]


def test_relative_root(tree: Path, headers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    make(tree)
    headers.clear()
    monkeypatch.chdir(tree.parent)
    dataset = make(Path(tree.name))
    assert not headers
    dataset[next(iter(CenterSceneSampler(dataset)))]
    monkeypatch.chdir(tree)
    assert len(make(Path())) == 6
    assert not headers


def copy_scene(tree: Path, find: Find, source: str, target: str) -> None:
    for key in M3MCR.layers:
        shutil.copy(find(tree, key, source), find(tree, key, target))


def test_added_scene_costs_one_scene(tree: Path, find: Find, headers: list[str]) -> None:
    make(tree)
    headers.clear()
    copy_scene(tree, find, 'fall_1_p_1', 'fall_1_p_3')
    dataset = make(tree)
    assert len(dataset) == 7
    assert len(headers) == 5
    assert all('fall_1_p_3' in name for name in headers)
    # in its place, as if the index had been made anew
    assert list(dataset.index['scene'][:3]) == ['fall_1_p_1', 'fall_1_p_2', 'fall_1_p_3']
    assert same(dataset, make(tree, index_dir=False))
    headers.clear()
    make(tree)
    assert not headers


def test_removed_scene(tree: Path, find: Find, headers: list[str]) -> None:
    make(tree)
    headers.clear()
    for key in M3MCR.layers:
        find(tree, key, 'fall_1_p_1').unlink()
    dataset = make(tree)
    assert 'fall_1_p_1' not in set(dataset.index['scene'])
    assert len(dataset) == len(gpd.read_parquet(index_of(tree))) == 5
    assert not headers


def test_modified_file(tree: Path, find: Find, headers: list[str]) -> None:
    make(tree)
    headers.clear()
    path = find(tree, 'image_sar')
    with rasterio.open(path, 'r+') as raster:
        raster.write(np.full((2, 90, 90), -7.0))
    dataset = make(tree)
    assert set(headers) == {find(tree, key).name for key in M3MCR.layers}
    first = dataset[next(iter(CenterSceneSampler(dataset)))]
    assert (first['image_sar'] == -7).all()


def test_modified_file_of_the_same_size_and_of_an_older_date(
    tree: Path, find: Find, headers: list[str]
) -> None:
    make(tree)
    headers.clear()
    path = find(tree, 'mask')
    os.utime(path, ns=(0, path.stat().st_mtime_ns - 10**12))  # restored from a backup
    make(tree)
    assert path.name in headers


def test_moved_grid_is_noticed(tree: Path, find: Find) -> None:
    before = make(tree).index.geometry.iloc[0].bounds
    for key in ('image', 'image_clear', 'image_sar', 'mask'):
        with rasterio.open(find(tree, key), 'r+') as raster:
            raster.transform = raster.transform.translation(3000, 0) @ raster.transform
    after = make(tree).index.geometry.iloc[0].bounds
    assert after[0] == before[0] + 3000


def test_broken_scene_is_not_kept_in_the_index(tree: Path, find: Find, headers: list[str]) -> None:
    path = find(tree, 'image')
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    for _ in range(2):  # every time, not only the first
        with pytest.raises(ValueError, match=path.name):
            make(tree)
    path.write_bytes(whole)
    headers.clear()
    assert len(make(tree)) == 6
    assert len(headers) == 5


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def without_a_column(path: Path) -> None:
    gpd.read_parquet(path).drop(columns='image_mtime_ns').to_parquet(path)


def scenes_twice(path: Path) -> None:
    table = gpd.read_parquet(path)
    pd.concat([table, table]).to_parquet(path)


def without_geometry(path: Path) -> None:
    pd.DataFrame(gpd.read_parquet(path).drop(columns='geometry')).to_parquet(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    'damage',
    [cut, lambda path: os.truncate(path, 0), lambda path: path.write_text('index'),
     without_a_column, scenes_twice, without_geometry],
    ids=['half', 'empty', 'text', 'column', 'twice', 'geometry'],
)  # fmt: skip
def test_damaged_index_is_made_anew(
    tree: Path, damage: Callable[[Path], Any], headers: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    expected = make(tree)
    damage(index_of(tree))
    headers.clear()
    with caplog.at_level(logging.WARNING):
        rebuilt = make(tree)
    assert len(headers) == 6 * 5
    assert same(rebuilt, expected)
    assert index_of(tree).name in caplog.text
    headers.clear()
    make(tree)
    assert not headers


def test_other_modalities_have_another_index(tree: Path, headers: list[str]) -> None:
    make(tree, modalities=['mask'])
    headers.clear()
    make(tree)
    assert len(headers) == 6 * 5
    headers.clear()
    # the index of everything serves for a part
    make(tree, modalities=['image', 'image_sar'])
    assert not headers


def test_index_elsewhere(
    tree: Path, tmp_path: Path, headers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tree, index_dir=tmp_path / 'index')
    assert list((tmp_path / 'index').glob('*.parquet'))
    monkeypatch.setenv('CLOUDSEG_CACHE', str(tmp_path / 'all'))
    make(tree)
    assert list((tmp_path / 'all').glob('*/*.parquet'))
    assert not (tree / '.cloudseg').exists()
    headers.clear()
    make(tree)
    make(tree, index_dir=tmp_path / 'index')
    assert not headers


def test_no_index_at_all(tree: Path, user_cache: Path, headers: list[str]) -> None:
    for _ in range(2):
        headers.clear()
        make(tree, index_dir=False)
        assert len(headers) == 6 * 5
    assert not (tree / '.cloudseg').exists()
    assert not user_cache.exists()


def test_read_only_data_set(
    ordinary_user: OrdinaryUser, headers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = ordinary_user.tree
    tree.chmod(0o555)
    home = tree.parent / 'home'
    home.mkdir()
    home.chmod(0o777)
    monkeypatch.setenv('XDG_CACHE_HOME', str(home))
    with ordinary_user.acting():
        expected = make(tree)
        headers.clear()
        again = make(tree)
    assert not (tree / '.cloudseg').exists()
    (index,) = home.rglob('*.parquet')
    assert index.parts[-3] == 'cloudseg'
    assert not headers
    assert same(again, expected)


def test_nowhere_to_write(
    ordinary_user: OrdinaryUser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(ordinary_user.tree.parent))
    with ordinary_user.acting(), caplog.at_level(logging.WARNING):
        assert len(make(ordinary_user.tree)) == 6
    assert 'CLOUDSEG_CACHE' in caplog.text
    assert not list(ordinary_user.tree.parent.rglob('*.parquet'))


def test_nothing_is_left_behind(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: gpd.GeoDataFrame, path: Path, **_: bool) -> None:
        path.write_bytes(b'PAR1')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(gpd.GeoDataFrame, 'to_parquet', full)
    assert len(make(tree)) == 6
    assert not list((tree / '.cloudseg').iterdir())


def make_and_throw_away(tree: Path, start: Any) -> None:
    """Make the index and throw it away again, over and over."""
    start.wait()
    for _ in range(20):
        assert len(make(tree)) == 6
        for file in (tree / '.cloudseg').glob('[!.]*.parquet'):
            file.unlink(missing_ok=True)
    assert len(make(tree)) == 6


@pytest.mark.slow
def test_two_processes_at_once(
    tree: Path, headers: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    context = multiprocessing.get_context('fork')
    start = context.Barrier(2)
    both = [context.Process(target=make_and_throw_away, args=(tree, start)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    assert 'unusable' not in capfd.readouterr().err
    make(tree)
    headers.clear()
    make(tree)
    assert not headers
    assert [file.suffix for file in (tree / '.cloudseg').iterdir()] == ['.parquet']
