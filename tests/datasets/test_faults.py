"""Files that are missing, broken or odd: an error that names them, or a documented fill."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import Affine
from torch.utils.data import DataLoader
from torchgeo.datasets import stack_samples

from torchgeo_cloudseg.datasets import M3MCR, SceneError, ScenesError
from torchgeo_cloudseg.datasets.validation import validate_scenes
from torchgeo_cloudseg.samplers import CenterSceneSampler, GridSceneSampler

if TYPE_CHECKING:
    from scene_trees import Find, OrdinaryUser


def problem(root: Path, **kwargs: Any) -> SceneError:
    """The one error of a data set."""
    with pytest.raises(ScenesError) as error:
        M3MCR(root, val_share=0, **kwargs)
    (found,) = error.value.problems
    # everything that a person needs is in the message
    for part in (found.path, found.found, found.expected, found.remedy):
        assert part
        assert part in str(error.value)
    return found


def rewrite(path: Path, values: np.ndarray | None = None, **profile: Any) -> None:
    """Write a GeoTIFF anew with other values or another profile."""
    with rasterio.open(path) as source:
        profile = source.profile | profile
        values = source.read() if values is None else values
    profile |= {'count': len(values), 'height': values.shape[1], 'width': values.shape[2]}
    with rasterio.open(path, 'w', **profile) as target:
        target.write(values)


def sample_of(dataset: M3MCR, scene: str = 'fall_1_p_1') -> dict[str, Any]:
    query = next(query for query in CenterSceneSampler(dataset) if query.scene == scene)
    return dataset[query]


@pytest.mark.parametrize('key', M3MCR.layers)
def test_missing_modality(tree: Path, find: Find, key: str) -> None:
    find(tree, key).unlink()
    found = problem(tree)
    assert found.path == str(find(tree, key))
    assert found.found == 'no such file'
    assert found.expected.startswith('one: the scene has ')


def test_missing_folder_of_an_area(tree: Path, find: Find) -> None:
    for scene in ('fall_1_p_1', 'fall_1_p_2'):
        find(tree, 'image_sar', scene).unlink()
    find(tree, 'image_sar').parent.rmdir()
    with pytest.raises(ScenesError, match='no such file') as error:
        M3MCR(tree)
    assert [entry.path for entry in error.value.problems] == [
        str(find(tree, 'image_sar', scene)) for scene in ('fall_1_p_1', 'fall_1_p_2')
    ]


@pytest.mark.parametrize('key', M3MCR.layers)
@pytest.mark.parametrize('size', [0, 100, 0.5, 0.999])
def test_cut_off_file(tree: Path, find: Find, key: str, size: float) -> None:
    path = find(tree, key)
    whole = path.stat().st_size
    os.truncate(path, int(size if size > 1 else size * whole))
    found = problem(tree)
    assert found.path == str(path)
    assert found.found.startswith(('an unreadable file', 'a file cut off', 'an empty file'))
    assert (found.found == 'an empty file') == (size == 0)


def test_cut_off_compressed_file_is_found_by_reading(tree: Path, find: Find) -> None:
    path = find(tree, 'image_clear')
    rewrite(path, compress='deflate', blockysize=100)
    with rasterio.open(path) as raster:
        expected = raster.read()
    dataset = M3MCR(tree, val_share=0)
    np.testing.assert_array_equal(sample_of(dataset)['image_clear'].numpy(), expected)
    # the directory is at the beginning: the header still looks sound
    os.truncate(path, path.stat().st_size - 5000)
    dataset = M3MCR(tree, val_share=0)
    with pytest.raises(SceneError, match='an unreadable file') as error:
        sample_of(dataset)
    assert error.value.path == str(path)
    (found,) = validate_scenes(tree).problems
    assert found.path == str(path)


def test_text_in_place_of_a_tiff(tree: Path, find: Find) -> None:
    find(tree, 'mask').write_text('<html>404</html>')
    assert 'not recognized' in problem(tree).found


@pytest.mark.parametrize('key', ['image', 'mask_cloud'])
def test_permission_denied(ordinary_user: OrdinaryUser, find: Find, key: str) -> None:
    root = ordinary_user.tree
    dataset = M3MCR(root, val_share=0, index_dir=False)
    path = find(root, key)
    path.chmod(0)
    with ordinary_user.acting():
        found = problem(root, index_dir=False)
        with pytest.raises(SceneError, match='ermission denied') as error:
            sample_of(dataset)
    assert error.value.path == found.path == str(path)
    assert 'ermission denied' in found.found


@pytest.mark.parametrize('level', ['area', 'season'])
def test_folder_that_may_not_be_listed(ordinary_user: OrdinaryUser, find: Find, level: str) -> None:
    root, folder = ordinary_user.tree, find(ordinary_user.tree, 'image').parent
    folder = folder if level == 'area' else folder.parent
    folder.chmod(0)
    with ordinary_user.acting():
        found = problem(root, index_dir=False)
        report = validate_scenes(root, index_dir=False)
    # the folder, and not each file that is said to be missing in it
    assert [entry.path for entry in report.problems] == [found.path] == [str(folder)]
    assert found.found == 'an unreadable folder (Permission denied)'
    assert report.scenes == 6


def test_root_that_may_not_be_listed(ordinary_user: OrdinaryUser) -> None:
    ordinary_user.tree.chmod(0)
    with ordinary_user.acting():
        found = problem(ordinary_user.tree, index_dir=False)
    assert found.path == str(ordinary_user.tree / 'train')
    assert found.found == 'an unreadable folder (Permission denied)'


@pytest.mark.parametrize('quick', [True, False])
def test_rights_taken_away_after_indexing(
    ordinary_user: OrdinaryUser, find: Find, quick: bool
) -> None:
    root = ordinary_user.tree
    assert validate_scenes(root, quick=quick).ok
    path = find(root, 'image_sar')
    path.chmod(0)
    with ordinary_user.acting():
        report = validate_scenes(root, quick=quick)
    assert [(entry.path, entry.found) for entry in report.problems] == [
        (str(path), 'an unreadable file (Permission denied)')
    ]
    assert report.scenes == 7


@pytest.mark.parametrize('key', M3MCR.layers)
def test_file_vanished_after_indexing(tree: Path, find: Find, key: str) -> None:
    dataset = M3MCR(tree, val_share=0)
    find(tree, key).unlink()
    with pytest.raises(SceneError, match='no such file') as error:
        sample_of(dataset)
    assert error.value.path == str(find(tree, key))


@pytest.mark.parametrize('key', ['image', 'mask_cloud'])
def test_file_cut_off_after_indexing(tree: Path, find: Find, key: str) -> None:
    dataset = M3MCR(tree, val_share=0)
    os.truncate(find(tree, key), find(tree, key).stat().st_size // 2)
    with pytest.raises(SceneError) as error:
        sample_of(dataset)
    assert error.value.path == str(find(tree, key))


def test_file_changed_after_indexing_is_read_as_it_is_now(tree: Path, find: Find) -> None:
    dataset = M3MCR(tree, val_share=0)
    path = find(tree, 'image_clear')
    values = sample_of(dataset)['image_clear'].numpy().astype(np.uint16)
    # changed twice: the second time while the file is kept open
    for turned in (values[:, ::-1], values[:, :, ::-1]):
        rewrite(path, turned.copy(), compress='deflate')
        np.testing.assert_array_equal(sample_of(dataset)['image_clear'].numpy(), turned)


def test_file_smaller_than_when_it_was_indexed(tree: Path, find: Find) -> None:
    dataset = M3MCR(tree, val_share=0)
    rewrite(find(tree, 'image_clear'), np.ones((4, 200, 300), np.uint16))
    with pytest.raises(SceneError, match='fewer pixels'):
        sample_of(dataset)


@pytest.mark.parametrize('key', ['image_sar', 'mask_cloud'])
def test_links_that_lead_nowhere(tree: Path, find: Find, key: str) -> None:
    path = find(tree, key)
    path.unlink()
    path.symlink_to(path.name)
    found = problem(tree)
    assert found.path == str(path)
    assert 'symbolic links' in found.found
    path.unlink()
    path.symlink_to('nowhere')
    assert problem(tree).found == 'a link to nowhere'


def test_folder_that_links_to_its_parent_is_not_followed(tree: Path, find: Find) -> None:
    folder = find(tree, 'image').parent
    (folder / 'loop').symlink_to(folder.parent)
    assert len(M3MCR(tree, val_share=0)) == 6


@pytest.mark.parametrize('level', ['area', 'season'])
def test_folder_that_links_to_itself(tree: Path, find: Find, level: str) -> None:
    folder = find(tree, 'image').parent
    link = folder.with_name('planet_cloudy_fall_77')
    if level == 'season':
        link = folder.parent.with_name('planet_cloudy_winter')
    link.symlink_to(link.name)
    found = problem(tree)
    assert found.path == str(link)
    assert 'symbolic links' in found.found
    report = validate_scenes(tree, quick=True)
    assert [entry.path for entry in report.problems] == [str(link)]
    assert report.scenes == 8


def test_folder_in_place_of_a_file(tree: Path, find: Find) -> None:
    for key in ('image', 'mask_cloud'):
        find(tree, key).unlink()
        find(tree, key).mkdir()
    with pytest.raises(ScenesError) as error:
        M3MCR(tree, val_share=0)
    assert {entry.path for entry in error.value.problems} == {
        str(find(tree, key)) for key in ('image', 'mask_cloud')
    }


@pytest.mark.parametrize(
    ('key', 'values', 'found', 'expected'),
    [
        ('image', np.ones((3, 300, 300), np.uint16), '3 band(s)', '4 (Blue, Green, Red, NIR)'),
        ('image_sar', np.ones((1, 90, 90)), '1 band(s)', '2 (VV, VH)'),
        ('mask', np.ones((1, 300, 300), np.uint8), 'shape (1, 300, 300)', '(1, 90, 90)'),
        ('image_clear', np.ones((4, 300, 299), np.uint16), 'shape (4, 300, 299)', '(4, 300, 300)'),
        ('mask_cloud', np.ones((90, 90), bool), 'shape (90, 90)', '(300, 300)'),
        ('mask_cloud', np.ones((1, 300, 300), bool), 'an array of 3 axes', 'two'),
        ('mask_cloud', np.ones((300, 300), np.uint8), 'data type uint8', 'bool'),
    ],
)
def test_odd_shape(
    tree: Path, find: Find, key: str, values: np.ndarray, found: str, expected: str
) -> None:
    if key == 'mask_cloud':
        np.save(find(tree, key), values)
    else:
        rewrite(find(tree, key), values)
    entry = problem(tree)
    assert entry.path == str(find(tree, key))
    assert found in entry.found
    assert expected in entry.expected


def test_odd_type(tree: Path, find: Find) -> None:
    rewrite(find(tree, 'image'), np.ones((4, 300, 300), np.float32), dtype='float32', nodata=0)
    assert (problem(tree).found, problem(tree).expected) == ('data type float32', 'uint16')


@pytest.mark.parametrize(
    ('profile', 'found'),
    [
        ({'crs': None}, 'no CRS'),
        ({'crs': 'EPSG:32647'}, 'EPSG:32647'),
        ({'transform': Affine(10, 0, 300_020, 0, -10, 5_400_000)}, 'left, bottom, right, top'),
        ({'transform': Affine(10, 0, 300_000, 0, 10, 5_400_000)}, 'transform'),
    ],
    ids=['no CRS', 'another zone', 'elsewhere', 'upside down'],
)
def test_odd_place(tree: Path, find: Find, profile: dict[str, Any], found: str) -> None:
    rewrite(find(tree, 'image_sar'), **profile)
    entry = problem(tree)
    assert entry.path == str(find(tree, 'image_sar'))
    assert found in entry.found


class Malice:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickles_are_never_loaded(tree: Path, find: Find, tmp_path: Path) -> None:
    path, trace = find(tree, 'mask_cloud'), tmp_path / 'trace'
    np.save(path, np.array([Malice(trace)], dtype=object), allow_pickle=True)
    entry = problem(tree)
    assert 'allow_pickle' in entry.found
    assert 'numpy.save' in entry.remedy
    path.write_bytes(pickle.dumps(Malice(trace)))
    assert problem(tree).path == str(path)
    assert not trace.exists()


def test_pickle_put_in_place_after_indexing(tree: Path, find: Find, tmp_path: Path) -> None:
    dataset = M3MCR(tree, val_share=0)
    trace = tmp_path / 'trace'
    find(tree, 'mask_cloud').write_bytes(pickle.dumps(Malice(trace)))
    with pytest.raises(SceneError, match='no plain array'):
        sample_of(dataset)
    assert not trace.exists()


def test_unknown_label_code(tree: Path, find: Find) -> None:
    path = find(tree, 'mask')
    with rasterio.open(path) as raster:
        codes = raster.read()
    codes[0, 45, 45] = 7
    rewrite(path, codes)
    dataset = M3MCR(tree, val_share=0)
    with pytest.raises(SceneError, match=r'label code\(s\) 7 \(0.01%\)') as error:
        sample_of(dataset)
    assert error.value.path == str(path)
    assert '10, 20, 30' in error.value.expected
    (found,) = validate_scenes(tree).problems
    assert (found.path, found.found) == (str(path), 'label code(s) 7 (0.01%) of the pixels read')
    assert validate_scenes(tree, quick=True).ok


def test_error_crosses_from_a_worker(tree: Path, find: Find) -> None:
    dataset = M3MCR(tree, val_share=0, modalities=['mask'])
    find(tree, 'mask').unlink()
    loader = DataLoader(
        dataset, sampler=CenterSceneSampler(dataset), num_workers=1, collate_fn=stack_samples
    )
    # torch raises errors of its workers anew, with their text
    with pytest.raises(RuntimeError, match=r'landcover_fall_1_p_1\.tif: found no such file'):
        list(loader)


def test_nan_in_sar_becomes_the_mean_of_the_patch(tree: Path, find: Find) -> None:
    path = find(tree, 'image_sar')
    with rasterio.open(path) as raster:
        values = raster.read()
    values[:, 10:20, 30:40] = np.nan
    values[0, 80, 80] = np.nan
    rewrite(path, values)
    image = sample_of(M3MCR(tree, val_share=0))['image_sar']
    nearest = np.floor((np.arange(300) + 0.5) * 0.3).astype(int)
    resized = values[:, nearest][:, :, nearest]
    expected = np.where(np.isnan(resized), np.nanmean(resized), resized)
    np.testing.assert_allclose(image.numpy(), expected, rtol=1e-6)


def test_sar_of_nothing_but_nan(tree: Path, find: Find) -> None:
    rewrite(find(tree, 'image_sar'), np.full((2, 90, 90), np.nan))
    with pytest.raises(SceneError, match='NaN in every pixel') as error:
        sample_of(M3MCR(tree, val_share=0))
    assert error.value.path == str(find(tree, 'image_sar'))


@pytest.mark.parametrize('key', ['image', 'image_clear'])
def test_optical_of_nothing_but_nodata(tree: Path, find: Find, key: str) -> None:
    path = find(tree, key)
    rewrite(path, np.zeros((4, 300, 300), np.uint16))
    with pytest.raises(SceneError, match=r'no data \(0\) in every pixel') as error:
        sample_of(M3MCR(tree, val_share=0))
    (found,) = validate_scenes(tree).problems
    assert error.value.path == found.path == str(path)
    assert found.found == 'no data (0) in every pixel'


def test_optical_window_without_data_stays_zero(tree: Path, find: Find) -> None:
    values = np.zeros((4, 300, 300), np.uint16)
    values[:, 250:] = 7
    rewrite(find(tree, 'image'), values)
    dataset = M3MCR(tree, val_share=0)
    for _ in range(2):
        (empty, *_) = (q for q in GridSceneSampler(dataset, 100) if q.scene == 'fall_1_p_1')
        assert (dataset[empty]['image'] == 0).all()
    assert (sample_of(dataset)['image'][:, 250:] == 7).all()
    assert validate_scenes(tree).ok


@pytest.mark.parametrize('name', ['landcover_fall_1_p_x.tif', 'landcover_fall_2_p_1.tif', 'a.tif'])
def test_misnamed_file(tree: Path, find: Find, name: str) -> None:
    stray = find(tree, 'mask').with_name(name)
    stray.write_bytes(b'')
    entry = problem(tree)
    assert entry.path == str(stray)
    assert 'landcover_fall_1_p_<n>.tif' in entry.expected


def test_misnamed_area(tree: Path, find: Find) -> None:
    folder = find(tree, 'mask').parent
    folder.rename(folder.with_name('landcover_fall_one_1'))
    with pytest.raises(ScenesError, match=r'landcover_<season>_<aoi>_p_<n>\.tif'):
        M3MCR(tree)


def test_all_broken_files_are_named_at_once(tree: Path, find: Find) -> None:
    broken = [find(tree, key, f'fall_1_p_{n}') for key in M3MCR.layers for n in (1, 2)]
    for path in broken:
        path.write_bytes(b'')
    with pytest.raises(ScenesError, match='10 file') as error:
        M3MCR(tree)
    assert {entry.path for entry in error.value.problems} == {str(path) for path in broken}
    copy = pickle.loads(pickle.dumps(error.value))
    assert str(copy) == str(error.value)


def test_long_list_of_problems_is_cut_in_the_message() -> None:
    error = ScenesError([SceneError(f'{i}.tif', 'nothing', 'something') for i in range(25)])
    assert len(str(error).splitlines()) == 1 + ScenesError.shown + 1
    assert '... and 5 more' in str(error)


def test_broken_file_of_validation_does_not_stop_training(tree: Path, find: Find) -> None:
    (area,) = set(M3MCR(tree, 'val').index['area'])
    find(tree, 'image', f'{area}_p_1').write_bytes(b'')
    assert len(M3MCR(tree, 'train')) == 4
    with pytest.raises(ScenesError, match=f'{area}_p_1'):
        M3MCR(tree, 'val')


def test_infinite_backscatter_is_reported(tree: Path, find: Find) -> None:
    values = np.full((2, 90, 90), -10.0)
    values[0, 0, 0] = np.inf
    rewrite(find(tree, 'image_sar'), values)
    assert torch.isinf(sample_of(M3MCR(tree, val_share=0))['image_sar']).any()
    (found,) = validate_scenes(tree).problems
    assert found.found == 'infinite values'
