"""Your own images: which files make a scene, what samples hold, what is wrong with a folder."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import shapely
from helpers import read, write
from rasterio.transform import from_origin

from torchgeo_cloudseg.datasets import (
    Division,
    EmptySplitError,
    Modality,
    SceneFolder,
    ScenesError,
)
from torchgeo_cloudseg.datasets.scene_folder.modality import keys_of
from torchgeo_cloudseg.miniature import write_miniature_folder
from torchgeo_cloudseg.miniature.scene_folder import CLASSES
from torchgeo_cloudseg.samplers import CenterSceneSampler

BANDS = ('B02', 'B03', 'B04', 'B08', 'B11')
EVERYTHING = Division(val=0, test=0)


def sentinel(**changes: Any) -> dict[str, Any]:
    """Arguments of the miniature folder."""
    return {
        'image': Modality(
            {band: f'sentinel2/*_{band}.tif' for band in BANDS}, range=(0, 10000), nodata=0
        ),
        'image_sar': Modality(
            {band: f'sentinel1/*_{band}.tif' for band in ('VV', 'VH')},
            range=([-25, -32.5], [0, 0]),
            pair='place',
        ),
        'mask_cloud': Modality('sentinel2/*_SCL.tif', codes=[3, 8, 9, 10]),
        'mask': Modality('corine.tif'),
        'classes': {name: list(codes) for name, codes in CLASSES.items()},
        'unknown_codes': [999, -9999],
        'rgb': ['B04', 'B03', 'B02'],
        'division': EVERYTHING,
        **changes,
    }


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('folder')
    return write_miniature_folder(folder, columns=4, rows=2, side_px=48, progress=False)


@pytest.mark.slow
def test_samples_are_what_the_files_hold(root: Path) -> None:
    zoned = SceneFolder.zoned(root, **sentinel())
    assert [part.crs.to_epsg() for part in zoned.zone_datasets] == [32632, 32633]
    queries = list(CenterSceneSampler(zoned))
    assert len(queries) == 8
    for query in queries:
        sample, name = zoned[query], str(query.scene)
        files = {band: next((root / 'sentinel2').glob(f'*{name}_{band}.tif')) for band in BANDS}
        with rasterio.open(files['B02']) as raster:
            place, crs = raster.transform, raster.crs
        for band, image in zip(BANDS, sample['image'], strict=True):
            stored = read(files[band])[0]
            stored = stored.repeat(2, 0).repeat(2, 1) if band == 'B11' else stored
            np.testing.assert_array_equal(image, stored)
        scl = read(files['B02'].with_name(files['B02'].name.replace('B02', 'SCL')))[0]
        np.testing.assert_array_equal(sample['mask_cloud'], (scl == 9).repeat(2, 0).repeat(2, 1))
        # labels: the pixel of the large raster under the center of each pixel
        cols, rows = np.meshgrid(np.arange(48) + 0.5, np.arange(48) + 0.5)
        to_labels = pyproj.Transformer.from_crs(crs, 'EPSG:3035', always_xy=True)
        east, north = to_labels.transform(place.c + 10 * cols, place.f - 10 * rows)
        with rasterio.open(root / 'corine.tif') as raster:
            col, row = ~raster.transform * (east, north)
            codes = raster.read(1)[np.floor(row).astype(int), np.floor(col).astype(int)]
        classes = {code: i for i, (code,) in enumerate(CLASSES.values())}
        wanted = np.vectorize(classes.get)(codes, 255)
        assert (sample['mask'].numpy() == wanted).mean() > 0.998
        assert sample['image_sar'].shape == (2, 48, 48)
        assert sample['image_sar'].isfinite().all()


@pytest.mark.slow
def test_sar_is_that_of_the_place_and_the_nearest_day(root: Path) -> None:
    dataset = SceneFolder(root, **sentinel(), crs='EPSG:32632')
    table = dataset._table
    for path, name in zip(table['image_sar'], table['scene'], strict=True):
        number = name.rpartition('_')[2]
        assert f'_{number}_VV.tif' in path
    # a second one of the same place, a year later, changes nothing; a nearer one does
    first = next((root / 'sentinel1').glob('*_000_VV.tif'))
    for year, chosen in ((2022, '2021'), (2020, '2021')):
        twins = [first.with_name(first.name.replace('2021', str(year), 1))]
        twins.append(twins[0].with_name(twins[0].name.replace('VV', 'VH')))
        for twin in twins:
            twin.write_bytes(first.read_bytes())
        found = SceneFolder(root, **sentinel(), crs='EPSG:32632')._table.set_index('scene')
        assert f'IW_{chosen}' in found.loc[found.index[0], 'image_sar']
        for twin in twins:
            twin.unlink()


@pytest.mark.parametrize(
    ('sides', 'keys'),
    [
        ({'a': ['x/1.tif', 'x/2.tif'], 'b': ['y/1.png', 'y/2.png']}, ['1', '2']),
        (
            {
                'a': ['ROIs_1_s2_cloudy_p4.tif', 'ROIs_1_s2_cloudy_p5.tif'],
                'b': ['ROIs_1_s1_p4.tif', 'ROIs_1_s1_p5.tif'],
            },
            ['ROIs_1_p4', 'ROIs_1_p5'],
        ),
        ({'a': ['t_B02_10m.tif'], 'b': ['t_B11_20m.tif']}, ['t']),
        (
            {'a': ['optical_7.tif', 'optical_8.tif'], 'b': ['7_label.tif', '8_label.tif']},
            ['7', '8'],
        ),
    ],
)
def test_names_have_in_common_what_tells_scenes_apart(
    sides: dict[str, list[str]], keys: list[str]
) -> None:
    found, problems = keys_of(sides, {})
    assert not problems
    assert all(sorted(side) == keys for side in found.values())


def test_names_by_a_regular_expression() -> None:
    sides = {'a': ['S2_17_2020.tif', 'odd.tif'], 'b': ['lc_17.tif']}
    found, (problem,) = keys_of(sides, {'a': r'S2_(\d+)_\d+', 'b': r'lc_(\d+)'})
    assert found == {'a': {'17': ['S2_17_2020.tif']}, 'b': {'17': ['lc_17.tif']}}
    assert problem.path == 'odd.tif'


def pictures(root: Path, names: str = 'abcdef', size: int = 20, **profile: Any) -> dict[str, Any]:
    """Optical and SAR images and labels of small scenes that lie apart."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(names):
        where = {'crs': 'EPSG:32632', 'transform': from_origin(1000 * number, 0, 10, 10), **profile}
        optical = rng.integers(1, 255, (3, size, size)).astype(np.uint8)
        write(root / f'optical/{name}.tif', optical, **where)
        write(root / f'sar/{name}.tif', rng.normal(-10, 3, (1, size, size)), **where)
        labels = rng.integers(0, 3, (1, size, size)).astype(np.int16) * 100
        write(root / f'labels/{name}.tif', labels, **where)
    return {
        'image': Modality('optical', bands=['R', 'G', 'B'], range=(0, 255)),
        'image_sar': Modality('sar', bands=['VV'], range=(-25, 0)),
        'mask': Modality('labels'),
        'classes': {'zero': 0, 'one': {'codes': [100], 'color': [1, 2, 3]}, 'two': [200]},
        'division': EVERYTHING,
        'index_dir': False,
    }


def test_everything_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    arguments = pictures(tmp_path)
    (tmp_path / 'sar/b.tif').unlink()
    write(tmp_path / 'labels/deeper/c.tif', np.zeros((1, 20, 20), np.uint8))
    write(tmp_path / 'optical/d.tif', np.ones((2, 20, 20), np.uint8), crs='EPSG:32632')
    write(tmp_path / 'labels/e.tif', np.ones((1, 20, 20), np.uint8), crs='EPSG:32638')
    (tmp_path / 'optical/f.tif').write_bytes(b'no image')
    with pytest.raises(ScenesError) as caught:
        SceneFolder(tmp_path, **arguments)
    found = {Path(e.path).relative_to(tmp_path).as_posix(): str(e) for e in caught.value.problems}
    assert 'a second file of one scene' in found['labels/deeper/c.tif']
    assert 'no `image_sar` of the same name (b)' in found['optical/b.tif']
    assert '2 band(s), expected 3 (R, G, B)' in found['optical/d.tif']
    assert 'some of the ground of' in found['labels/e.tif']
    assert 'unreadable file' in found['optical/f.tif']
    assert len(found) == 5
    assert all(problem.remedy for problem in caught.value.problems)
    # an image without SAR is left out if asked for
    for name in ('labels/deeper/c.tif', 'optical/d.tif', 'labels/e.tif', 'optical/f.tif'):
        (tmp_path / name).unlink()
    dataset = SceneFolder(tmp_path, **arguments, incomplete='skip')
    assert dataset.scene_names == ['a', 'c']


def test_no_pairs_at_all(tmp_path: Path) -> None:
    arguments = pictures(tmp_path, 'ab')
    for name in 'ab':
        (tmp_path / f'labels/{name}.tif').rename(tmp_path / f'labels/other{name}.tif')
    with pytest.raises(ScenesError, match='none of which has a name in common') as caught:
        SceneFolder(tmp_path, **arguments)
    assert len(caught.value.problems) == 1
    assert 'pair: place' in str(caught.value)
    arguments['mask'] = Modality('labels', pair='place')
    assert SceneFolder(tmp_path, **arguments).scene_names == ['a', 'b']
    arguments['mask'] = Modality('nowhere/*.tif')
    with pytest.raises(ScenesError, match=r'nowhere/.*found no file'):
        SceneFolder(tmp_path, **arguments)


def test_labels_in_tiles_are_one_raster(tmp_path: Path) -> None:
    arguments = pictures(tmp_path, 'a')
    whole = read(tmp_path / 'labels/a.tif')
    (tmp_path / 'labels/a.tif').unlink()
    for number, part in enumerate((whole[:, :, :8], whole[:, :, 8:])):
        place = from_origin(80 * number, 0, 10, 10)
        write(tmp_path / f'labels/t{number}.tif', part, crs='EPSG:32632', transform=place)
    arguments['mask'] = Modality('labels', pair='place')
    dataset = SceneFolder(tmp_path, **arguments)
    sample = dataset[next(iter(CenterSceneSampler(dataset)))]
    np.testing.assert_array_equal(sample['mask'] * 100, whole[0])


def test_contradictions_are_named_before_files_are_opened(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='not consistent') as caught:
        SceneFolder(
            tmp_path,
            image=Modality('*.tif', bands=['R', 'G'], numbers=[1]),
            image_sar=Modality('*.tif', range=(0, 0)),
            mask=Modality('*.tif', name='('),
            classes={'a': [1], 'b': [1]},
            rgb=['N'],
        )
    text = str(caught.value)
    for part in ('1 numbers for 2 bands', '`range` is missing', 'lower end must be below',
                 'no regular expression', '1 (a)', "['N'] are no bands"):  # fmt: skip
        assert part in text
    with pytest.raises(ValueError, match='there is no image'):
        SceneFolder(tmp_path, mask=Modality('*.tif'), classes={'a': 1})


@pytest.mark.parametrize('keys', [('image', 'mask'), ('image_sar', 'mask'), ('image',)])
def test_one_image_is_enough(tmp_path: Path, keys: tuple[str, ...]) -> None:
    arguments = pictures(tmp_path, 'ab')
    kept = {k: v for k, v in arguments.items() if k in (*keys, 'division', 'index_dir')}
    if 'mask' in keys:
        kept['classes'] = arguments['classes']
    dataset = SceneFolder(tmp_path, **kept)
    sample = dataset[next(iter(CenterSceneSampler(dataset)))]
    assert set(keys) == {key for key in sample if key.startswith(('image', 'mask'))}
    dataset.plot(sample)
    assert pickle.loads(pickle.dumps(dataset)).layers == dataset.layers


def test_pictures_without_a_place(tmp_path: Path) -> None:
    arguments = pictures(tmp_path, 'ab', driver='PNG', crs=None, transform=None, dtype='uint8')
    dataset = SceneFolder(tmp_path, **arguments)
    sample = dataset[next(iter(CenterSceneSampler(dataset)))]
    np.testing.assert_array_equal(sample['image'], read(tmp_path / 'optical/a.tif'))
    assert bool(sample['nominal'])


@pytest.mark.parametrize('nodata', [None, -1.0])
def test_missing_optical_values(tmp_path: Path, nodata: float | None) -> None:
    """They get what is declared as no data, else the mean of their band."""
    image = np.random.default_rng(0).normal(100, 5, (2, 20, 20)).astype(np.float32)
    image[0, 3:9], image[1, 2, 4] = np.nan, np.inf
    write(tmp_path / 'i/a.tif', image)
    modality = Modality(tmp_path / 'i', bands=['a', 'b'], range=(0, 200), nodata=nodata)
    dataset = SceneFolder(tmp_path, image=modality, division=EVERYTHING)
    (query,) = CenterSceneSampler(dataset)
    shown = dataset[query]['image'].numpy()
    missing = ~np.isfinite(image)
    np.testing.assert_array_equal(shown[~missing], image[~missing])
    for band, stored in zip(shown, image, strict=True):
        there = np.isfinite(stored)
        wanted = nodata if nodata is not None else stored[there].mean()
        np.testing.assert_allclose(band[~there], wanted, rtol=1e-5)


def scenes(places: list[tuple[float, float]], side_px: int = 100) -> pd.DataFrame:
    """A table of square scenes with pixels of 10 m."""
    left, top = np.array(places).T
    facts = {'xres': 10.0, 'yres': 10.0, 'height': side_px, 'width': side_px, 'crs': 'EPSG:32632'}
    names = [f's{i:04}' for i in range(len(places))]
    days = pd.Timestamp('2021-01-01') + pd.to_timedelta(np.arange(len(places)), 'D')
    return pd.DataFrame({'scene': names, 'left': left, 'top': top, 'mint': days, **facts})


def outlines(table: pd.DataFrame) -> np.ndarray:
    side = table['width'] * 10
    return shapely.box(table['left'], table['top'] - side, table['left'] + side, table['top'])


@pytest.mark.parametrize('gap_m', [0.0, 500.0, -200.0])
def test_blocks_share_no_edge(gap_m: float) -> None:
    pitch = 1000 + gap_m
    table = scenes([(500_000 + pitch * x, 5e6 - pitch * y) for x in range(20) for y in range(20)])
    splits = Division().divide(table, Path())
    counts = pd.Series(splits).value_counts()
    assert counts['train'] > 0.4 * len(table)
    assert 0.1 * len(table) < counts['test'] < 0.3 * len(table)
    assert counts['val'] > 0.03 * len(table)
    assert ('' in counts) == (gap_m <= 0)
    shapes = outlines(table)
    for first, second in (('train', 'val'), ('train', 'test'), ('val', 'test')):
        areas = [shapely.union_all(shapes[splits == split]) for split in (first, second)]
        assert not areas[0].intersects(areas[1])
    # in any order
    order = np.random.default_rng(0).permutation(len(table))
    again = Division().divide(table.iloc[order].reset_index(drop=True), Path())
    np.testing.assert_array_equal(again, splits[order])


def test_few_scenes_are_divided_as_far_as_they_go() -> None:
    table = scenes([(0, 0), (5000, 0), (10_000, 0)])
    assert sorted(Division().divide(table, Path())) == ['test', 'train', 'val']
    assert sorted(Division().divide(table[:1], Path())) == ['train']


@pytest.mark.slow
@pytest.mark.parametrize('placed', [True, False])
def test_a_large_scene_is_divided_in_itself(tmp_path: Path, placed: bool) -> None:
    """Parts show the stored pixels, and those of different splits do not touch."""
    rng = np.random.default_rng(0)
    place = {'transform': from_origin(5e5, 5e6, 10, 10), 'crs': 'EPSG:32632' if placed else None}
    image = rng.integers(1, 4000, (2, 420, 384)).astype(np.uint16)
    image[:, :40] = 0  # a border without data
    labels = rng.integers(0, 3, (1, 420, 384)).astype(np.uint8)
    coarse = rng.normal(-9, 1, (1, 210, 192)).astype(np.float32)
    write(tmp_path / 'tile.tif', image, **place)
    write(tmp_path / 'labels.tif', labels, **place)
    twice = {**place, 'transform': from_origin(5e5, 5e6, 20, 20)}
    write(tmp_path / 'sar.tif', coarse, **twice)
    arguments: dict[str, Any] = {
        'image': Modality('tile.tif', bands=['a', 'b'], range=(0, 4000), nodata=0),
        'image_sar': Modality('sar.tif', range=(-20, 0)),
        'mask': Modality('labels.tif'),
        'classes': {'one': 1, 'two': 2},
        'unknown_codes': [0],
    }
    with pytest.raises(EmptySplitError, match='cut_px'):
        SceneFolder(tmp_path, 'val', **arguments)
    arguments['division'] = Division(cut_px=32)
    shapes, seen = {}, np.zeros((420, 384), int)
    for split in ('train', 'val', 'test'):
        dataset = SceneFolder.zoned(tmp_path, split, **arguments)
        shapes[split] = dataset.zone_datasets[0].index.geometry.union_all()
        for query in CenterSceneSampler(dataset):
            top, left = map(int, re.fullmatch(r'.*_r(\d+)_c(\d+)', str(query.scene)).groups())
            sample = dataset[query]
            height, width = sample['image'].shape[1:]
            window = np.s_[top : top + height, left : left + width]
            np.testing.assert_array_equal(sample['image'], image[:, *window])
            wanted = np.array([255, 0, 1])[labels[0][window]]
            np.testing.assert_array_equal(sample['mask'], wanted)
            fine = coarse[0].repeat(2, 0).repeat(2, 1)[window]
            assert np.corrcoef(sample['image_sar'][0].ravel(), fine.ravel())[0, 1] > 0.8
            seen[window] += 1
    assert seen.max() == 1
    assert seen.mean() > 0.5
    for first, second in (('train', 'val'), ('train', 'test'), ('val', 'test')):
        assert not shapes[first].intersects(shapes[second])
    if not placed:
        return
    # what lies beyond a part is not shown, though its file has it
    x, y = (slice(low, low + 4000, 10) for low in (5e5, 5e6 - 4200))
    whole = SceneFolder(tmp_path, 'val', **arguments)
    sample = whole[x, y]
    shown = (sample['image'] != 0).any(dim=0).numpy().mean()
    assert shown < 1.2 * shapes['val'].area / 4000**2
    assert pickle.loads(pickle.dumps(whole))[x, y]['mask'].equal(sample['mask'])


def test_splits_by_list_column_and_date(tmp_path: Path) -> None:
    table = scenes([(5000 * i, 0) for i in range(4)])
    (tmp_path / 'val.txt').write_text('s0001\ns0003\n')
    division = Division(by='lists', lists={'val': 'val.txt'})
    assert division.divide(table, tmp_path).tolist() == ['', 'val', '', 'val']
    rows = 'name,part\ns0000,train\ns0001,test\ns0002,none\n'
    (tmp_path / 'parts.csv').write_text(rows)
    division = Division(by='column', table='parts.csv', column='part')
    assert division.divide(table, tmp_path).tolist() == ['train', 'test', '', '']
    dates = {'train': ('2021-01-01', '2021-01-02'), 'test': ('2021-01-04', '2021-12-31')}
    division = Division(by='date', dates=dates)
    assert division.divide(table, tmp_path).tolist() == ['train', 'train', '', 'test']
    (tmp_path / 'val.txt').write_text('nobody\n')
    with pytest.raises(ValueError, match=r"\['nobody'\] are named"):
        Division(by='lists', lists={'val': 'val.txt'}).divide(table, tmp_path)
    with pytest.raises(ValueError, match='needs `dates`'):
        Division(by='date')


def test_a_split_without_scenes_says_so(tmp_path: Path) -> None:
    arguments = pictures(tmp_path, 'ab')
    with pytest.raises(EmptySplitError, match="split='val' has no scene"):
        SceneFolder(tmp_path, 'val', **arguments)
