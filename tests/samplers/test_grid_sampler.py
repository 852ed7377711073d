"""Regular grids and centers of scenes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchgeo.datasets import GeoDataset

from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.samplers import CenterSceneSampler, GridSceneSampler, RandomSceneSampler

Make = Callable[..., GeoDataset]


@given(
    height=st.integers(1, 50), width=st.integers(1, 50), data=st.data(), stride=st.integers(1, 30)
)
def test_grid_covers_every_pixel_and_none_beyond(
    outlines: Make, height: int, width: int, stride: int, data: st.DataObject
) -> None:
    rows, cols = data.draw(st.tuples(st.integers(1, height), st.integers(1, width)))
    stride = min(stride, rows, cols)
    covered = np.zeros((height, width), int)
    sampler = GridSceneSampler(outlines((0, 900, height, width)), (rows, cols), stride)
    for _, row, col in sampler.patches().to_numpy()[:, :3]:
        assert 0 <= row <= height - rows
        assert 0 <= col <= width - cols
        covered[row : row + rows, col : col + cols] += 1
    assert covered.all()
    assert (
        len(sampler)
        == len(list(sampler))
        == len(np.unique(sampler.patches().to_numpy()[:, :3], axis=0))
    )


def test_grid_of_the_authors_test(outlines: Make) -> None:
    sampler = GridSceneSampler(outlines((0, 900, 300, 300)), 160, 80)
    assert sorted({row for _, row, _ in sampler.patches().to_numpy()[:, :3].tolist()}) == [
        0,
        80,
        140,
    ]
    assert len(sampler) == 9


def test_grid_is_the_same_in_every_epoch(outlines: Make) -> None:
    sampler = GridSceneSampler(outlines((0, 900, 300, 300), (900, 900, 200, 160)), 100)
    first = list(sampler)
    sampler.set_epoch(3)
    assert list(sampler) == first
    assert len(first) == 9 + 4


@pytest.mark.slow
def test_centre_lies_on_the_common_grid(miniature: Path) -> None:
    dataset = M3MCR(miniature)
    for query in CenterSceneSampler(dataset, 160):
        place = dataset.index['scene'].tolist().index(query.scene)
        xmin, _, _, ymax = dataset.index.geometry.iloc[place].bounds
        x, y, t = query
        assert ((x.start - xmin) / 3, (ymax - y.stop) / 3) == (70, 70)
        assert (t.start, t.stop) == (
            dataset.index.index[place].left, dataset.index.index[place].right
        )  # fmt: skip


@given(height=st.integers(160, 400), step=st.integers(1, 20))
def test_centre_is_the_last_step_before_the_middle(outlines: Make, height: int, step: int) -> None:
    sampler = CenterSceneSampler(outlines((0, 900, height, 300)), 160, step)
    ((_, row, col),) = sampler.patches().to_numpy()[:, :3]
    assert row % step == col % step == 0
    assert 0 <= (height - 160) / 2 - row < step + step / 2


def test_whole_scenes_of_any_size(outlines: Make) -> None:
    dataset = outlines((0, 900, 300, 200), (900, 900, 70, 80))
    sizes = [(y.stop - y.start, x.stop - x.start) for x, y, _ in CenterSceneSampler(dataset)]
    assert sizes == [(300, 200), (70, 80)]


@pytest.mark.parametrize('sampler', [GridSceneSampler, CenterSceneSampler, RandomSceneSampler])
def test_scene_smaller_than_a_patch(
    outlines: Make, sampler: type, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = outlines((0, 900, 300, 300), (900, 900, 100, 300), (2000, 900, 160, 160))
    queries = list(sampler(dataset, 160))
    assert queries
    assert not any(900 <= query[0].start < 1000 for query in queries)
    assert f'{sampler.__name__}: a patch of 160 x 160 px does not fit into 1 of 3' in caplog.text
    assert '(100 x 300 px). They are left out' in caplog.text
    with pytest.raises(ValueError, match=rf'{sampler.__name__}: .* does not fit into 3 of 3'):
        sampler(dataset, 301)
