"""Scenes whose files do not say where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import shapely
from helpers import write

from torchgeo_cloudseg.datasets import Layer, SceneDataset, ScenesError, by_key
from torchgeo_cloudseg.samplers import GridSceneSampler


class Patches(SceneDataset):
    """Pictures without a georeference, with labels."""

    layers = by_key(
        Layer('image', 'pictures', ('red', 'green', 'blue'), ('uint8',), suffix='.png'),
        Layer('mask', 'labels', ('class',), ('uint8',), suffix='.png', categorical=True),
    )
    unknown_codes = tuple(range(256))
    ranges: ClassVar = {'image': ((0.0,), (255.0,))}
    nominal_places = True
    pixel_size_m = 20.0


def picture(root: Path, part: str, name: str, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(list(name.encode()))
    pixels = rng.integers(0, 255, (3, *size), dtype=np.uint8)
    nowhere = {'crs': None, 'transform': None}
    write(root / part / 'pictures' / f'{name}.png', pixels, driver='PNG', **nowhere)
    write(root / part / 'labels' / f'{name}.png', pixels[:1], driver='PNG', **nowhere)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(70):
        picture(tmp_path, 'train', f'p{number:02}', (16 + number % 3, 24))
    picture(tmp_path, 'test', 'q', (16, 24))
    return tmp_path


def test_they_lie_side_by_side_and_say_so(root: Path) -> None:
    whole = Patches(root, val_share=0)
    outlines = whole.index.geometry.to_numpy()
    assert len(shapely.STRtree(outlines).query(outlines, 'intersects')[0]) == 70
    west, south, east, north = shapely.bounds(outlines).T
    np.testing.assert_array_equal(east - west, 24 * 20)
    np.testing.assert_array_equal(north - south, [(16 + number % 3) * 20 for number in range(70)])
    for dataset in (whole, Patches.zoned(root, val_share=0)):
        queries = list(GridSceneSampler(dataset, 12))
        assert len(queries) == 70 * 2 * 2
        corner = dataset[queries[0]]
        assert corner['nominal'].tolist() == [True]
        assert corner['image'].shape == (3, 12, 12)
    # validation and test have places of their own
    others = [Patches(root, split) for split in ('val', 'test')]
    places = [shapely.union_all(other.index.geometry.to_numpy()) for other in others]
    assert len(whole.index.sindex.query(places[0], 'intersects')) == len(others[0])
    assert not places[1].intersects(places[0])
    assert len(whole.index.sindex.query(places[1], 'intersects')) == 0


def test_a_file_without_place_covers_the_ground_of_its_scene(tmp_path: Path) -> None:
    for part in ('train', 'test'):
        folder = tmp_path / part
        pixels = np.arange(48, dtype=np.uint8).reshape(1, 6, 8).repeat(3, 0)
        write(folder / 'pictures/a.png', pixels, driver='GTiff')
        write(folder / 'labels/a.png', pixels[:1], driver='PNG', crs=None, transform=None)
    dataset = Patches(tmp_path, val_share=0)
    assert dataset.crs.to_epsg() == 32646
    (query,) = GridSceneSampler(dataset, (6, 8))
    sample = dataset[query]
    assert sample['nominal'].tolist() == [False]
    np.testing.assert_array_equal(sample['image'][0].numpy(), pixels[0])


def test_without_the_declaration_they_are_refused(root: Path) -> None:
    placed = type('Placed', (Patches,), {'nominal_places': False})
    with pytest.raises(ScenesError, match='no CRS') as error:
        placed(root, 'test')
    # both files, in one pass
    assert len(error.value.problems) == 2
