"""Joins of data sets, on either side and in any order: the pixels, or a refusal."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ground import EAST, WEST, Ground, Labels, assert_true, corner, write_labels, write_scene
from torchgeo.datasets import IntersectionDataset, UnionDataset

from torchgeo_cloudseg.datasets import SceneSlice, ZonedDataset
from torchgeo_cloudseg.samplers import CenterSceneSampler, GridSceneSampler, RandomSceneSampler

IMAGES = ('image', 'image_sar', 'mask_cloud')


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes on each side of where two zones meet, and labels of all in the western one."""
    root = tmp_path_factory.mktemp('ground')
    for number in range(2):
        write_scene(root / 'a', f'west_{number}', WEST, corner(WEST, -1500 + 700 * number, 400))
        write_scene(root / 'a', f'east_{number}', EAST, corner(EAST, 100 + 700 * number, 400))
    write_labels(root / 'labels/all.tif', WEST, corner(WEST, -2000, 900), (200, 400))
    # another root, with a scene of the same name elsewhere
    write_scene(root / 'b', 'west_0', WEST, corner(WEST, -1500, -1400))
    write_scene(root / 'b', 'east_0', EAST, corner(EAST, 100, -1400))
    return root


def zoned(root: Path, name: str = 'a', **kwargs: Any) -> ZonedDataset:
    return Ground.zoned(root / name, val_share=0, **kwargs)


def labels(root: Path) -> Labels:
    return Labels(root / 'labels')


def drawn(dataset: Any, size: int = 32) -> list[SceneSlice]:
    queries = list(RandomSceneSampler(dataset, size, length=8, seed=1))
    # smaller ones: of a warped scene, only patches that lie within count
    queries += list(GridSceneSampler(dataset, size // 2, size))
    return queries


JOINS: dict[str, Callable[[Path], Any]] = {
    'zoned & labels': lambda root: zoned(root, modalities=IMAGES) & labels(root),
    'labels & zoned': lambda root: labels(root) & zoned(root, modalities=IMAGES),
    'IntersectionDataset(zoned, labels)': lambda root: IntersectionDataset(
        zoned(root, modalities=IMAGES), labels(root)
    ),
    'zoned & zoned': lambda root: zoned(root, modalities=IMAGES) & zoned(root, modalities=['mask']),
    'IntersectionDataset(zoned, zoned)': lambda root: IntersectionDataset(
        zoned(root, modalities=IMAGES), zoned(root, modalities=['mask'])
    ),
    'scenes & zoned': lambda root: (
        Ground(root / 'a', modalities=['image'], zone=32632, val_share=0)
        & zoned(root, modalities=['mask'])
    ),
    'zoned & scenes': lambda root: (
        zoned(root, modalities=['image'])
        & Ground(root / 'a', modalities=['mask'], zone=32632, val_share=0)
    ),
    'scenes & labels': lambda root: (
        Ground(root / 'a', modalities=['image'], zone=32633, val_share=0) & labels(root)
    ),
    'zoned | zoned': lambda root: zoned(root) | zoned(root, 'b'),
    'zoned | scenes': lambda root: zoned(root) | Ground(root / 'b', zone=32632, val_share=0),
    'scenes | zoned': lambda root: Ground(root / 'b', zone=32632, val_share=0) | zoned(root),
    'scenes | scenes': lambda root: (
        Ground(root / 'a', zone=32632, val_share=0) | Ground(root / 'b', zone=32633, val_share=0)
    ),
    '(scenes | scenes) & labels': lambda root: (
        (
            Ground(root / 'a', zone=32632, modalities=['image'], val_share=0)
            | Ground(root / 'a', zone=32633, modalities=['image'], val_share=0)
        )
        & labels(root)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', JOINS)
def test_every_patch_of_a_join_is_true(root: Path, name: str) -> None:
    joined = JOINS[name](root)
    queries = drawn(joined)
    assert len(queries) >= 10
    for query in queries:
        sample = joined[query]
        assert {'image', 'mask'} <= sample.keys()
        assert_true(sample, query, query.crs)


@pytest.mark.slow
@pytest.mark.parametrize('name', JOINS)
def test_plain_queries_of_a_join_are_true(root: Path, name: str) -> None:
    joined = JOINS[name](root)
    for outline in joined.index.geometry:
        middle = outline.centroid
        x = slice(middle.x - 100, middle.x + 100, 10)
        y = slice(middle.y - 100, middle.y + 100, 10)
        assert_true(joined[x, y], (x, y, None), joined.crs)


@pytest.mark.slow
def test_joins_with_zoned_keep_the_pixels(root: Path) -> None:
    joined, images = zoned(root, modalities=IMAGES) & labels(root), zoned(root)
    zones = set()
    for query in drawn(joined):
        sample = joined[query]
        zones.add(query.crs)
        # not resampled: the sensor's own values
        assert torch.equal(sample['image'], images[query]['image'])
    assert zones == {WEST, EAST}
    both = zoned(root) | zoned(root, 'b')
    names = [query.scene for query in CenterSceneSampler(both)]
    assert sorted(names) == ['east_0', 'east_0', 'east_1', 'west_0', 'west_0', 'west_1']
    for query in CenterSceneSampler(both):
        sample = both[query]
        assert both.scene_names[int(sample['scene'])] == query.scene
        assert_true(sample, query, query.crs)


def test_a_join_leaves_its_parts_as_they_are(root: Path) -> None:
    first, second = zoned(root, modalities=IMAGES), labels(root)
    before = second.crs, second.res, second.index.copy()
    _ = first & second
    assert (second.crs, second.res) == before[:2]
    assert second.index.equals(before[2])


@pytest.mark.slow
def test_a_query_of_one_data_set_asked_of_another(root: Path) -> None:
    """By its CRS, whoever is asked: the pixels of that place, or a refusal."""
    a, b = zoned(root), zoned(root, 'b')
    one_zone = Ground(root / 'a', zone=32632, val_share=0)
    warped = Ground(root / 'a', crs='EPSG:3035', val_share=0)
    for query in drawn(a)[::2]:
        for other in (warped, Ground.zoned(root / 'a', val_share=0, crs='EPSG:4326')):
            sample = other[query]
            assert torch.equal(sample['image'], a[query]['image'])
            assert_true(sample, query, query.crs)
        # the same names and zones, but other places
        with pytest.raises(IndexError, match='not found'):
            b[query]
        if query.crs == EAST:
            with pytest.raises(IndexError, match='not found'):
                one_zone[query]
    plain = ZonedDataset([labels(root)])
    (query,) = (q for q in CenterSceneSampler(a, 32) if q.scene == 'east_1')
    with pytest.raises(ValueError, match=r'in EPSG:32633.*Labels'):
        plain[query]


def test_scenes_that_are_filtered_out_do_not_answer(root: Path) -> None:
    a = zoned(root)
    one, other = copy.copy(a), Ground(root / 'a', zone=32632, val_share=0)
    one.index = one.index[(one.index['scene'] == 'west_0').to_numpy()]
    other.index = other.index[(other.index['scene'] == 'west_0').to_numpy()]
    for query in CenterSceneSampler(a):
        for part in (one, other):
            if query.scene == 'west_0':
                assert_true(part[query], query, query.crs)
            else:
                with pytest.raises(IndexError, match='not found'):
                    part[query]


def test_two_masks_say_how_to_resolve_it(root: Path) -> None:
    both = "'mask'.*modalities.*collate_fn"
    with pytest.raises(ValueError, match=both):
        zoned(root) & labels(root)
    with pytest.raises(ValueError, match=both):
        Ground(root / 'a', zone=32632, val_share=0) & labels(root)
    # TorchGeo's own join is made before this package hears of it: samplers say it
    with pytest.raises(ValueError, match=both):
        RandomSceneSampler(labels(root) & zoned(root), 32)


def test_unions_that_torchgeo_makes_are_refused(root: Path) -> None:
    """Its larger number of two is 255, or the brighter image, wherever ours is one of them."""
    ours, theirs = Ground(root / 'a', zone=32632, val_share=0), labels(root)
    for union in (
        UnionDataset(zoned(root), zoned(root, 'b')),
        UnionDataset(ours, Ground(root / 'b', zone=32632, val_share=0)),
        theirs | ours,
        theirs | zoned(root),
        (theirs | ours) & theirs,
    ):
        with pytest.raises(ValueError, match=r'larger of two numbers.*`ours \| other`'):
            RandomSceneSampler(union, 32)
    said = UnionDataset(theirs, ours, collate_fn=lambda samples: samples[-1])
    assert len(list(RandomSceneSampler(said, 32, length=2))) == 2


@pytest.mark.parametrize('order', [1, -1])
def test_a_union_keeps_the_pixels_along_a_seam(tmp_path: Path, order: int) -> None:
    left, top = corner(WEST, -1500, 0)
    write_scene(tmp_path / 'a', 'one', WEST, (left, top))
    write_scene(tmp_path / 'b', 'one', WEST, (left + 640, top))
    parts = [Ground(tmp_path / name, val_share=0) for name in 'ab'][::order]
    x = slice(left + 400, left + 1000, 10)
    y = slice(top - 400, top - 100, 10)
    union = parts[0] | parts[1]
    assert isinstance(union, UnionDataset)
    sample = union[x, y]
    assert_true(sample, (x, y, None), WEST)
    radar = sample['image_sar'].numpy()
    assert np.ptp(radar, axis=2).max() < 0.2
    again = (union | Ground(tmp_path / 'a', val_share=0))[x, y]
    assert torch.equal(again['mask'], sample['mask'])
    assert int(sample['epsg']) == 32632
    names = [query.scene for query in CenterSceneSampler(union)]
    assert names == ['one', 'one']
    for position, query in enumerate(CenterSceneSampler(union)):
        assert int(union[query]['scene']) == position


@pytest.mark.slow
@pytest.mark.parametrize('warped', [False, True])
def test_no_data_of_a_scene_does_not_hide_its_neighbor(tmp_path: Path, warped: bool) -> None:
    left, top = corner(WEST, -1500, 0)
    write_scene(tmp_path, 'a', WEST, (left, top), collar=20)
    write_scene(tmp_path, 'b', WEST, (left + 300, top))
    dataset = Ground(tmp_path, val_share=0, crs='EPSG:3035' if warped else None)
    middle = dataset.index.geometry.union_all().centroid
    x = slice(middle.x - 300, middle.x + 300, 10)
    y = slice(middle.y - 150, middle.y + 150, 10)
    sample = dataset[x, y]
    assert_true(sample, (x, y, None), dataset.crs)
    assert sample['mask_cloud'].sum() == 0
    assert np.ptp(sample['image_sar'].numpy()[0], axis=1).max() < 0.3
    # alone, it has its collar
    (query, _) = CenterSceneSampler(Ground(tmp_path, val_share=0))
    alone = dataset[query]
    assert (alone['image'][:, :, -20:] == 0).all()
    assert (alone['mask'][:, -20:] == 255).all()
