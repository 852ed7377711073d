"""LuojiaSET-OSFCR: its layout, its traps, and two real patches to the pixel."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely

from torchgeo_cloudseg.datamodules import LuojiaSETDataModule
from torchgeo_cloudseg.datasets import LuojiaSET, ScenesError, recognize_dataset, validate_scenes
from torchgeo_cloudseg.datasets.luojiaset import COVERS
from torchgeo_cloudseg.miniature import write_miniature_luojiaset
from torchgeo_cloudseg.samplers import CenterSceneSampler

#: Not for redistribution.
SHARED = Path(os.environ.get('CLOUDSEG_SHARED', Path(__file__).parents[3] / 'shared'))
REAL = SHARED / 'luojiaset-sample'
KEYS = tuple(LuojiaSET.layers)


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature_luojiaset(tmp_path_factory.mktemp('luojia'), pairs=8)


@pytest.fixture(scope='module')
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature_luojiaset(tmp_path_factory.mktemp('copies'), pairs=3, copies=True)


def file_of(root: Path, key: str, name: str) -> Path:
    """File of a layer, found by region and patch whatever it is called."""
    cover, roi, patch = re.split(r'/|_(?=p\d+$)', name)
    (found,) = (root / cover / LuojiaSET.layers[key].folder).glob(f'{roi}_*_{patch}.tif')
    return found


def assert_exact(root: Path, dataset: Any) -> set[str]:
    """Every layer as rasterio reads its file; the names of the patches."""
    names = set()
    for query in CenterSceneSampler(dataset):
        sample = dataset[query]
        names.add(str(query.scene))
        for key in dataset.modalities:
            with rasterio.open(file_of(root, key, str(query.scene))) as raster:
                stored = raster.read()
                if key == 'image_clear':
                    assert sample['transform'].tolist() == list(raster.transform)
                    assert int(sample['epsg']) == raster.crs.to_epsg()
            expected = stored[0] if key.startswith('mask') else stored
            np.testing.assert_array_equal(sample[key].numpy(), expected)
    return names


@pytest.mark.slow
def test_pixels_of_every_layer_are_those_of_its_file(root: Path) -> None:
    assert recognize_dataset(root) is LuojiaSET
    splits = [LuojiaSET(root, split, val_share=0.25) for split in LuojiaSET.splits]
    names = [assert_exact(root, dataset) for dataset in splits]
    assert all(names)
    # some touch those of another split, and are in none
    assert 12 <= len(set.union(*names)) == sum(map(len, names)) <= 16
    # both names of cloudy images, and labels whose CRS has no code
    cloudy = {path.name for path in root.rglob('s2_cloudy/*.tif')}
    assert {bool(re.search('s2_cloudy', name)) for name in cloudy} == {True, False}
    with rasterio.open(next(root.rglob('land_cover_maps/*.tif'))) as raster:
        assert raster.crs.to_epsg() is None


def test_neighbors_are_never_in_two_splits(root: Path) -> None:
    outlines = [
        shapely.union_all(LuojiaSET(root, split, val_share=0.25).index.geometry.to_numpy())
        for split in LuojiaSET.splits
    ]
    for i, first in enumerate(outlines):
        for second in outlines[:i]:
            assert first.distance(second) > 1000


def test_names_of_classes(root: Path) -> None:
    assert LuojiaSET(root).class_names == [f'class {i}' for i in range(7)]
    names = ['crops', 'forest', 'grass', 'city', 'bare', 'water', 'village']
    dataset = LuojiaSET(root, class_names=names)
    assert dataset.class_names == names
    spec = dataset.scene_spec()
    assert spec.class_names == tuple(names)
    assert spec.optical_range == ((1000.0,), (11000.0,))
    with pytest.raises(ValueError, match='zip'):
        LuojiaSET(root, class_names=names[1:])


def test_missing_files_are_named(root: Path, tmp_path: Path) -> None:
    tree = shutil.copytree(root, tmp_path / 'tree', ignore=shutil.ignore_patterns('.*'))
    cover = next(cover for cover in COVERS if (tree / cover).is_dir())
    mask = sorted((tree / cover / 'cloud_detection_results').glob('*.tif'))[0]
    mask.unlink()
    with pytest.raises(ScenesError) as error:
        LuojiaSET(tree)
    (problem,) = error.value.problems
    assert (problem.path, problem.found) == (str(mask), 'no such file')
    assert LuojiaSET(tree, modalities=['image', 'mask'])
    # a CRS that really is another one
    label = sorted(tree.rglob('land_cover_maps/*.tif'))[0]
    with rasterio.open(label, 'r+') as raster:
        raster.crs = 'EPSG:32754'
    with pytest.raises(ScenesError, match='EPSG:32754'):
        LuojiaSET(tree, modalities=['image', 'mask'])


@pytest.mark.slow
def test_copies_in_place_of_cloudy_images(copies: Path, root: Path) -> None:
    report = validate_scenes(copies)
    assert len(report.problems) == 6
    assert all('the same pixels as in' in problem.found for problem in report.problems)
    assert validate_scenes(root).ok
    with pytest.raises(ValueError, match=r'same as the cloud-free.*`clouds: m3mcr`'):
        LuojiaSETDataModule(root=copies, batch_size=1).setup('fit')
    for kwargs in ({'clouds': 'm3mcr'}, {'modalities': ['image_clear', 'image_sar', 'mask']}):
        LuojiaSETDataModule(root=copies, batch_size=1, **kwargs).setup('fit')
    LuojiaSETDataModule(root=root, batch_size=1).setup('fit')


@pytest.mark.skipif(not REAL.is_dir(), reason=f'real patches not found in {REAL}')
def test_real_patches_to_the_pixel(tmp_path: Path) -> None:
    tree = shutil.copytree(REAL, tmp_path / 'real')
    with pytest.raises(ScenesError, match='cloud_detection_results') as error:
        LuojiaSET(tree)
    assert all(p.found == 'no such file' for p in error.value.problems)
    names: set[str] = set()
    without = [key for key in KEYS if key != 'mask_cloud']
    for split in LuojiaSET.splits:
        try:
            names |= assert_exact(tree, LuojiaSET(tree, split, modalities=without))
        except FileNotFoundError:  # two patches are not enough for three splits
            continue
    assert names == {'0-20%/ROIs_01_p4', '60%-80%/ROIs_01_p22'}
    listed = tmp_path / 'with_mask.txt'
    listed.write_text('60%-80%/ROIs_01_p22\n')
    shutil.rmtree(tree / '0-20%')
    assert assert_exact(tree, LuojiaSET(tree, file_list=listed)) == {'60%-80%/ROIs_01_p22'}
    assert 'same pixels' in str(validate_scenes(tree).problems[0])
