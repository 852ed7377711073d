"""Tiles cover every scene once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_cloudseg.datasets import WHUOPTSAR
from torchgeo_cloudseg.miniature import write_miniature_whuoptsar
from torchgeo_cloudseg.samplers import TileSceneSampler
from torchgeo_cloudseg.samplers.regular import _balanced, _equal


@pytest.fixture(scope='module')
def sheets(tmp_path_factory: pytest.TempPathFactory) -> WHUOPTSAR:
    root = tmp_path_factory.mktemp('whu')
    write_miniature_whuoptsar(root, height_px=70, width_px=105, progress=False)
    return WHUOPTSAR(root, split='test')


@given(st.integers(1, 6000), st.integers(10, 700), st.sampled_from([1, 2, 10]))
def test_balanced_pieces(extent: int, size: int, step: int) -> None:
    pieces = _balanced(extent, size, step)
    assert [pieces[0][0], pieces[-1][1]] == [0, extent]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(pieces))
    lengths = [end - start for start, end in pieces]
    assert 0 < min(lengths) <= max(lengths) <= size
    assert max(lengths) - min(lengths) <= 2 * step
    assert all(start % step == 0 for start, _ in pieces)


@given(st.integers(1, 6000), st.integers(1, 700), st.sampled_from([1, 10]))
def test_equal_pieces(extent: int, size: int, step: int) -> None:
    pieces = _equal(extent, size, step)
    assert all(end - start == size and end <= extent for start, end in pieces)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(pieces))
    assert extent - (pieces[-1][1] if pieces else 0) < size + step


def test_every_pixel_is_read_once(sheets: WHUOPTSAR) -> None:
    for ranks in (1, 2):
        seen = {name: np.zeros((70, 105), int) for name in sheets.index['scene']}
        for rank in range(ranks):
            sampler = TileSceneSampler(sheets, 32, num_replicas=ranks, rank=rank)
            queries = list(sampler)
            assert len(queries) == len(sampler)
            for query in queries:
                x, y, _ = query
                left, top = sampler.scenes['left'].iloc, sampler.scenes['top'].iloc
                scene = sampler.scenes['name'].tolist().index(query.scene)
                col = round((x.start - left[scene]) / x.step)
                row = round((top[scene] - y.stop) / y.step)
                mask = sheets[query]['mask']
                seen[query.scene][row : row + mask.shape[0], col : col + mask.shape[1]] += 1
        assert all((count == 1).all() for count in seen.values())


def test_equal_tiles_have_one_size(sheets: WHUOPTSAR) -> None:
    sampler = TileSceneSampler(sheets, 32, equal=True)
    assert {tuple(sheets[query]['mask'].shape) for query in sampler} == {(32, 32)}
    assert len(sampler) == 3 * 2 * 3
    with pytest.raises(ValueError, match='does not fit'):
        TileSceneSampler(sheets, 80, equal=True)
