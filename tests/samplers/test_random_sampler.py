"""Random patches: every legal offset, seeds, epochs, shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchgeo.datasets import GeoDataset

from torchgeo_cloudseg.datasets import M3MCR, ZonedDataset
from torchgeo_cloudseg.samplers import RandomSceneSampler

Make = Callable[..., GeoDataset]


@pytest.fixture(scope='module')
def dataset(miniature: Path) -> M3MCR:
    return M3MCR(miniature, val_share=0)


def test_every_offset_on_the_common_grid_is_drawn_as_often_as_any_other(dataset: M3MCR) -> None:
    sampler = RandomSceneSampler(dataset, size=160, length=225 * 200)
    corners = sampler.patches().to_numpy()[:, :3]
    count = Counter(map(tuple, corners[:, 1:].tolist()))
    steps = range(0, 141, 10)
    assert set(count) == {(row, col) for row in steps for col in steps}
    # 200 of each are expected, with a deviation of 14
    assert 130 < min(count.values()) <= max(count.values()) < 270


@given(height=st.integers(1, 30), width=st.integers(1, 30), step=st.integers(1, 12), data=st.data())
def test_all_legal_offsets_and_no_others(
    outlines: Make, height: int, width: int, step: int, data: st.DataObject
) -> None:
    size = data.draw(st.tuples(st.integers(1, height), st.integers(1, width)))
    dataset = outlines((7, 1000, height, width), step=step)
    legal = {
        (row, col)
        for row in range(0, height - size[0] + 1, step)
        for col in range(0, width - size[1] + 1, step)
    }
    # the chance of missing any of them is below 1e-9
    sampler = RandomSceneSampler(dataset, size, length=30 * len(legal))
    assert set(map(tuple, sampler.patches()[['row', 'col']].to_numpy().tolist())) == legal
    sampler = RandomSceneSampler(dataset, size, length=5)
    for x, y, _ in sampler:
        assert 7 <= x.start < x.stop <= 7 + width
        assert 1000 - height <= y.start < y.stop <= 1000


def test_last_offset_is_reached_though_it_is_the_scenes_edge(dataset: M3MCR) -> None:
    sampler = RandomSceneSampler(dataset, size=160, length=500)
    xmin, ymin, xmax, ymax = dataset.index.geometry.iloc[0].bounds
    name = dataset.index['scene'].iloc[0]
    ours = [query for query in sampler if query.scene == name]
    assert min(x.start for x, _, _ in ours) == xmin
    assert max(x.stop for x, _, _ in ours) == xmax
    assert min(y.start for _, y, _ in ours) == ymin
    assert max(y.stop for _, y, _ in ours) == ymax


def test_seed_fixes_scenes_and_offsets(dataset: M3MCR) -> None:
    first, again = (RandomSceneSampler(dataset, 160, 50, seed=3) for _ in range(2))
    assert list(first) == list(again)
    # nothing but seed and epoch matters: not what was drawn before, nor the global generators
    np.random.seed(0)  # noqa: NPY002
    assert list(first) == list(again)
    other = RandomSceneSampler(dataset, 160, 50, seed=4)
    for column in range(3):
        assert (first.patches().iloc[:, column] != other.patches().iloc[:, column]).any()


def test_epochs_differ(dataset: M3MCR) -> None:
    sampler = RandomSceneSampler(dataset, 160, 50, seed=3)
    epochs = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        epochs.append(sampler.patches().to_numpy()[:, :3])
    assert np.array_equal(epochs[0], epochs[2])
    for column in range(3):
        assert (epochs[0][:, column] != epochs[1][:, column]).any()


def test_each_scene_once_where_the_epoch_has_as_many_patches(dataset: M3MCR) -> None:
    sampler = RandomSceneSampler(dataset, 160)
    assert len(sampler) == len(dataset)
    for epoch in range(5):
        sampler.set_epoch(epoch)
        assert sorted(sampler.patches()['scene'].tolist()) == list(range(len(dataset)))


def test_areas_weigh_across_zones(outlines: Make) -> None:
    first = outlines((500_000, 5_000_000, 100, 100), crs='EPSG:32633')
    second = outlines(
        *[(400_000 + 1000 * i, 8_000_000, 300, 100 * i) for i in (1, 2, 3)], crs='EPSG:32733'
    )
    zoned = ZonedDataset([first, second])
    sampler = RandomSceneSampler(zoned, size=50, length=1900)
    count = Counter(sampler.patches()['scene'].tolist())
    assert [count[i] for i in range(4)] == pytest.approx([100, 300, 600, 900], abs=1)
    assert Counter(query.zone for query in sampler)[0] == pytest.approx(100, abs=1)


@given(
    widths=st.lists(st.integers(20, 400), min_size=1, max_size=12),
    length=st.integers(1, 60),
    seed=st.integers(0, 2**63 - 1),
)
def test_every_scene_has_its_share_to_within_one(
    outlines: Make, widths: list[int], length: int, seed: int
) -> None:
    dataset = outlines(*[(500 * i, 1000, 20, width) for i, width in enumerate(widths)])
    sampler = RandomSceneSampler(dataset, size=20, length=length, seed=seed)
    count = Counter(sampler.patches()['scene'].tolist())
    for i, width in enumerate(widths):
        assert abs(count[i] - length * width / sum(widths)) < 1 + 1e-6


def test_step_of_the_data_set_unless_another_is_given(dataset: M3MCR, outlines: Make) -> None:
    ones = RandomSceneSampler(dataset, 160, length=200, step=1).patches()[['row', 'col']].to_numpy()
    assert (ones % 10).any()
    assert set(np.unique(ones % 1)) == {0}
    without = outlines((0, 1000, 300, 300))
    assert (
        RandomSceneSampler(without, 160, length=200).patches()[['row', 'col']].to_numpy() % 10
    ).any()


def test_patches_of_other_shape(dataset: M3MCR) -> None:
    x, y, _ = next(iter(RandomSceneSampler(dataset, size=(100, 200))))
    assert (x.stop - x.start, y.stop - y.start) == (600, 300)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'size': 310}, r'310 x 310 px does not fit into 6 of 6 scenes, such as \w+_p_1'),
        ({'size': (10, 301)}, '10 x 301 px does not fit'),
        ({'size': 0}, 'at least one pixel'),
        ({'size': 160, 'length': 0}, 'length=0 must be at least 1'),
    ],
)
def test_nothing_to_draw_is_an_error(dataset: M3MCR, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomSceneSampler(dataset, **arguments)
