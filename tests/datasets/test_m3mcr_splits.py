"""Which scenes belong to a split: whole areas, always the same, or those of a list."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_cloudseg.datasets import M3MCR, ScenesError
from torchgeo_cloudseg.datasets.scene_scan import split_areas
from torchgeo_cloudseg.miniature.m3mcr import write_file_list

Find = Callable[..., Path]


def scenes(dataset: M3MCR) -> set[str]:
    return set(dataset.index['scene'])


def test_validation_takes_whole_areas_out_of_training(miniature: Path) -> None:
    train, val, test = (M3MCR(miniature, split) for split in ('train', 'val', 'test'))
    assert (len(train), len(val), len(test)) == (4, 2, 2)
    assert not set(train.index['area']) & set(val.index['area'])
    assert scenes(train) | scenes(val) == {
        f'{area}_p_{patch}' for area in ('fall_1', 'spring_2', 'summer_3') for patch in (1, 2)
    }


def test_split_does_not_depend_on_the_machine() -> None:
    # written down on purpose: another division would make results incomparable
    areas = [f'{season}_{number}' for season in ('fall', 'spring') for number in range(1, 11)]
    assert split_areas(areas, 'val', 0.1) == {'fall_9', 'spring_8'}
    assert split_areas(reversed(areas), 'val', 0.1) == {'fall_9', 'spring_8'}


AREAS = st.sets(st.builds('{}_{}'.format, st.sampled_from(['fall', 'winter']), st.integers(1, 99)))


@given(areas=AREAS, share=st.floats(0, 1))
def test_train_and_val_are_disjoint_and_complete(areas: set[str], share: float) -> None:
    train, val = (split_areas(areas, split, share) for split in ('train', 'val'))
    assert train | val == areas
    assert not train & val
    # training always has an area, validation one wherever there are two
    assert bool(train) == bool(areas)
    assert bool(val) == (share > 0 and len(areas) > 1)


@given(areas=AREAS.filter(lambda areas: len(areas) > 1), share=st.floats(0.01, 0.5))
def test_larger_share_keeps_the_areas_of_a_smaller_one(areas: set[str], share: float) -> None:
    assert split_areas(areas, 'val', share) <= split_areas(areas, 'val', 2 * share)


def test_share_of_validation(miniature: Path) -> None:
    assert len(M3MCR(miniature, 'val', val_share=0.7)) == 4
    assert len(M3MCR(miniature, 'train', val_share=0)) == 6


def test_patches_are_sorted_by_number_not_by_text(tree: Path, find: Find) -> None:
    for key in M3MCR.layers:
        shutil.copy(find(tree, key), find(tree, key, 'fall_1_p_10'))
    dataset = M3MCR(tree, modalities=['mask'], val_share=0)
    names = [name for name in dataset.index['scene'] if name.startswith('fall_1_')]
    assert names == ['fall_1_p_1', 'fall_1_p_2', 'fall_1_p_10']


@pytest.fixture
def rows(miniature: Path, tmp_path: Path) -> list[list[str]]:
    path = write_file_list(tmp_path / 'all.csv', miniature / 'train')
    return list(csv.reader(path.open()))


def write(path: Path, rows: list[list[str]]) -> Path:
    path.write_text('\n'.join(', '.join(row) for row in rows) + '\n\n')
    return path


def test_file_list_of_the_authors(miniature: Path, tmp_path: Path, rows: list[list[str]]) -> None:
    kinds = ['planet_cloudfree', 'planet_cloudy', 'S1', 'landcover', 'cloudmask']
    assert [path.partition('_fall/')[0] for path in rows[0]] == kinds
    chosen = write(tmp_path / 'chosen.csv', [rows[3], rows[0]])
    dataset = M3MCR(miniature, file_list=chosen)
    # no area is set aside where a list says what to take, and its order is kept
    names = [Path(row[3]).stem.removeprefix('landcover_') for row in (rows[3], rows[0])]
    assert list(dataset.index['scene']) == names
    whole = M3MCR(miniature, val_share=0)
    bounds = dataset.index.geometry.iloc[0].bounds
    query = slice(bounds[0], bounds[2]), slice(bounds[1], bounds[3])
    sample, expected = dataset[query], whole[query]
    for key in M3MCR.layers:
        np.testing.assert_array_equal(sample[key], expected[key])


def test_list_leaves_the_cached_index_of_the_whole_split(
    tree: Path, tmp_path: Path, rows: list[list[str]]
) -> None:
    M3MCR(tree)
    (index,) = (tree / '.cloudseg').glob('*.parquet')
    before = index.read_bytes()
    assert len(M3MCR(tree, file_list=write(tmp_path / 'one.csv', rows[:1]))) == 1
    assert index.read_bytes() == before


def test_list_that_is_not_there(miniature: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'none\.csv.*file_list'):
        M3MCR(miniature, file_list=tmp_path / 'none.csv')


@pytest.mark.parametrize(
    ('damage', 'found'),
    [
        (lambda rows: [rows[0][:4]], 'line 1'),
        (lambda rows: [rows[0], ['scene', *rows[1][1:]]], 'line 2'),
        (lambda rows: [rows[0], rows[0]], 'fall_1_p_1 again in line 2'),
    ],
    ids=['four columns', 'no scene', 'twice'],
)
def test_malformed_list(
    miniature: Path,
    tmp_path: Path,
    rows: list[list[str]],
    damage: Callable[[list[list[str]]], list[list[str]]],
    found: str,
) -> None:
    path = write(tmp_path / 'broken.csv', damage(rows))
    with pytest.raises(ScenesError, match=found) as error:
        M3MCR(miniature, file_list=path)
    (problem,) = error.value.problems
    assert problem.path == str(path)


def test_list_of_a_scene_that_is_not_there(
    miniature: Path, tmp_path: Path, rows: list[list[str]]
) -> None:
    path = write(tmp_path / 'gone.csv', [[c.replace('_p_1', '_p_7') for c in rows[0]]])
    with pytest.raises(ScenesError, match='no such file') as error:
        M3MCR(miniature, file_list=path)
    assert len(error.value.problems) == 5
