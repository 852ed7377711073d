"""M3M-CR: what a sample is, what is read for it, and TorchGeo's ways with the data set."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from helpers import GridPatches, RandomPatches
from matplotlib import pyplot as plt
from packaging.version import Version
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError, stack_samples

from torchgeo_cloudseg.datasets import M3MCR, EmptySplitError
from torchgeo_cloudseg.miniature import write_miniature_m3mcr
from torchgeo_cloudseg.samplers import CenterSceneSampler

Find = Callable[..., Path]

TENSOR_METADATA = Version(version('torchgeo')) >= Version('0.9')

CONTRACT = {
    'image': ((4, 300, 300), torch.float32),
    'image_clear': ((4, 300, 300), torch.float32),
    'image_sar': ((2, 300, 300), torch.float32),
    'mask_cloud': ((300, 300), torch.int64),
    'mask': ((90, 90), torch.int64),
}

#: Level 1 and level 2 by code of ESA WorldCover, written out once more.
LEVELS = {
    'level1': {10: 0, 20: 1, 30: 1, 40: 2, 50: 3, 60: 4, 80: 5, 90: 5}
    | dict.fromkeys((0, 70, 95, 100), 255),
    'level2': {c: i for i, c in enumerate((10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100))}
    | {0: 255},
}


@pytest.fixture(scope='module')
def dataset(miniature: Path) -> M3MCR:
    return M3MCR(miniature)


def stored(path: Path) -> np.ndarray:
    if path.suffix == '.npy':
        return np.load(path, allow_pickle=False)
    with rasterio.open(path) as raster:
        return raster.read()


def whole(dataset: M3MCR, scene: int = 0) -> tuple[slice, slice]:
    xmin, ymin, xmax, ymax = dataset.index.geometry.iloc[scene].bounds
    return slice(xmin, xmax), slice(ymin, ymax)


def test_sample_follows_the_contract(dataset: M3MCR) -> None:
    sample = dataset[whole(dataset)]
    assert {key: (tuple(sample[key].shape), sample[key].dtype) for key in CONTRACT} == CONTRACT
    assert all(sample[key].is_contiguous() for key in CONTRACT)
    metadata = {'bounds', 'transform', 'scene', 'epsg'} | (set() if TENSOR_METADATA else {'crs'})
    assert set(sample) == {*CONTRACT, *metadata}
    assert sample['epsg'].tolist() == [32646]
    assert sample['transform'].dtype == torch.float64
    xmin, _, _, ymax = dataset.index.geometry.iloc[0].bounds
    assert sample['transform'].tolist() == [3, 0, xmin, 0, -3, ymax, 0, 0, 1]


def test_values_are_those_of_the_files(dataset: M3MCR, miniature: Path, find: Find) -> None:
    for number, name in enumerate(dataset.index['scene']):
        sample = dataset[whole(dataset, number)]
        for key in ('image', 'image_clear'):
            np.testing.assert_array_equal(sample[key].numpy(), stored(find(miniature, key, name)))
        np.testing.assert_array_equal(
            sample['mask_cloud'].numpy(), stored(find(miniature, 'mask_cloud', name))
        )
        nearest = np.floor((np.arange(300) + 0.5) * 0.3).astype(int)
        radar = stored(find(miniature, 'image_sar', name))[:, nearest][:, :, nearest]
        np.testing.assert_array_equal(sample['image_sar'].numpy(), radar.astype(np.float32))


@pytest.mark.parametrize('classes', LEVELS)
def test_classes(miniature: Path, find: Find, classes: Any) -> None:
    dataset = M3MCR(miniature, modalities=['mask'], classes=classes)
    codes = stored(find(miniature, 'mask', dataset.index['scene'].iloc[0]))[0]
    label = dataset[whole(dataset)]['mask'].numpy()
    np.testing.assert_array_equal(label, np.vectorize(LEVELS[classes].get)(codes))
    assert dataset.num_classes == len(dataset.class_names) == {'level1': 6, 'level2': 11}[classes]


def test_label_on_the_optical_grid_is_the_nearest_native_pixel(miniature: Path) -> None:
    native, fine = (
        M3MCR(miniature, modalities=['mask'], label_res=label_res)
        for label_res in ('native', 'optical')
    )
    label = fine[whole(fine)]['mask']
    assert label.shape == (300, 300)
    nearest = ((torch.arange(300) + 0.5) * 0.3).floor().long()
    assert torch.equal(label, native[whole(native)]['mask'][nearest][:, nearest])


def test_only_the_modalities_asked_for_are_opened(tree: Path) -> None:
    for kind in ('planet_cloudy', 'cloudmask'):
        for file in tree.rglob(f'{kind}_*_p_*'):
            file.unlink()
    teacher = M3MCR(tree, modalities=['image_clear', 'image_sar', 'mask'])
    sample = teacher[whole(teacher)]
    assert set(CONTRACT) & set(sample) == {'image_clear', 'image_sar', 'mask'}
    assert not any('cloudy' in file or 'cloudmask' in file for file in teacher.files)


def test_label_alone_does_not_open_an_image(tree: Path) -> None:
    labels = M3MCR(tree, modalities=['mask'])
    for file in tree.rglob('planet_*_p_*'):
        file.unlink()
    assert labels[whole(labels)]['mask'].shape == (90, 90)


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        ({'split': 'dev'}, 'split'),
        ({'classes': 'level3'}, 'classes'),
        ({'label_res': '10m'}, 'label_res'),
        ({'modalities': ['sar']}, 'modalities'),
        ({'modalities': []}, 'modalities'),
        ({'zone': 32633}, 'zone'),
    ],
)
def test_argument_that_is_no_choice(miniature: Path, arguments: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        M3MCR(miniature, **arguments)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=str(tmp_path)):
        M3MCR(tmp_path)
    with pytest.raises(DatasetNotFoundError):
        M3MCR.zoned(tmp_path)


@pytest.mark.parametrize(('split', 'share'), [('val', 0.0), ('val', 0.1)])
def test_split_without_a_scene(tmp_path: Path, split: Any, share: float) -> None:
    areas = 1 if share else 2
    write_miniature_m3mcr(
        tmp_path, train_areas=areas, test_areas=0, patches_per_area=1, progress=False
    )
    with pytest.raises(EmptySplitError, match=f'the {areas} area.*val_share={share}.*`file_list`'):
        M3MCR(tmp_path, split, val_share=share)
    with pytest.raises(EmptySplitError, match='found no test/planet_cloudfree_<season>'):
        M3MCR(tmp_path, 'test')


def test_several_zones_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    root = write_miniature_m3mcr(
        tmp_path, train_areas=2, test_areas=0, patches_per_area=1, zones=(32646, 32736),
        progress=False,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r'several zones') as error:
        M3MCR(root, val_share=0)
    message = str(error.value)
    for part in ('EPSG:32646 (1 scenes)', 'EPSG:32736 (1 scenes)', 'crs=', 'zone=', 'M3MCR.zoned'):
        assert part in message
    assert M3MCR(root, val_share=0, zone=32736).crs.to_epsg() == 32736
    assert len(M3MCR(root, val_share=0, zone='EPSG:32646')) == 1
    # warped on purpose
    warped = M3MCR(root, val_share=0, crs='EPSG:32646')
    assert len(warped) == 2
    native = int(warped.index['scene'].str.startswith('fall').argmax())
    x, y = whole(warped, native)
    image = warped[x, y]['image_clear']
    assert image.shape == (4, 300, 300)
    assert (image > 0).all()


def test_slicing(dataset: M3MCR) -> None:
    x, y = whole(dataset)
    everything = dataset[x, y]
    part = dataset[x.start + 90 : x.start + 570, y.stop - 540 : y.stop - 60]
    for key in ('image', 'image_clear', 'image_sar', 'mask_cloud'):
        assert torch.equal(part[key], everything[key][..., 20:180, 30:190])
    assert torch.equal(part['mask'], everything['mask'][6:54, 9:57])
    # beyond the scene there is no data
    over = dataset[x.start - 30 : x.start + 30, y]
    assert over['image'].shape == (4, 300, 20)
    assert (over['image'][..., :10] == 0).all()
    assert (over['mask'][:, :3] == 255).all()
    assert torch.equal(over['image_sar'][:, 0, 0], torch.tensor([-25.0, -32.5]))
    coarse = dataset[x.start : x.stop : 9, y.start : y.stop : 9]
    assert coarse['image'].shape == (4, 100, 100)
    assert abs(coarse['image'].mean() / everything['image'].mean() - 1) < 0.05
    with pytest.raises(IndexError, match='not found'):
        dataset[x.stop + 1e5 : x.stop + 2e5, y]
    time = dataset.index.index[0]
    assert len(dataset[x, y, time.left : time.right]['image'])
    with pytest.raises(IndexError, match='not found'):
        dataset[x, y, time.right.replace(year=2021) :]


def test_intersection_joins_modalities_of_a_scene(miniature: Path, dataset: M3MCR) -> None:
    optical = M3MCR(miniature, modalities=['image_clear'])
    joined = optical & M3MCR(miniature, modalities=['mask'])
    assert len(joined) == len(optical)
    expected, sample = dataset[whole(dataset)], joined[whole(dataset)]
    assert torch.equal(sample['image_clear'], expected['image_clear'])
    assert torch.equal(sample['mask'], expected['mask'])


def test_union_of_splits(miniature: Path) -> None:
    parts = [M3MCR(miniature, split) for split in ('train', 'val', 'test')]
    union = parts[0] | parts[1] | parts[2]
    assert len(union) == sum(map(len, parts)) == 8
    for part in parts:
        expected, sample = part[whole(part)], union[whole(part)]
        assert all(torch.equal(sample[key], expected[key]) for key in CONTRACT)


def test_torchgeos_own_samplers(dataset: M3MCR) -> None:
    random = RandomPatches(dataset, size=100, length=7)
    grid = GridPatches(dataset, size=100, stride=100)
    for sampler, least in ((random, 7), (grid, len(dataset))):
        loader = DataLoader(dataset, batch_size=4, sampler=sampler, collate_fn=stack_samples)
        batches = list(loader)
        assert sum(len(batch['image']) for batch in batches) >= least, sampler
        for batch in batches:
            assert batch['image'].shape[1:] == (4, 100, 100)
            assert batch['mask'].shape[1:] == (30, 30)
            assert batch['scene'].dtype == torch.int64


def test_transforms_see_the_whole_sample(miniature: Path) -> None:
    def double(sample: dict[str, Any]) -> dict[str, Any]:
        return sample | {'image': sample['image'] * 2}

    plain, doubled = M3MCR(miniature), M3MCR(miniature, transforms=double)
    assert torch.equal(doubled[whole(plain)]['image'], plain[whole(plain)]['image'] * 2)


def test_without_keeping_files_open(miniature: Path, dataset: M3MCR) -> None:
    closed = M3MCR(miniature, cache=False)
    assert torch.equal(closed[whole(closed)]['image'], dataset[whole(dataset)]['image'])


def test_pickled_copy_gives_the_same(dataset: M3MCR) -> None:
    copy = pickle.loads(pickle.dumps(dataset))
    query = next(iter(CenterSceneSampler(dataset, 160)))
    expected, sample = dataset[query], copy[pickle.loads(pickle.dumps(query))]
    assert all(torch.equal(sample[key], expected[key]) for key in (*CONTRACT, 'scene', 'epsg'))


def test_scene_says_where_a_sample_is_from(dataset: M3MCR) -> None:
    for query in CenterSceneSampler(dataset, 160):
        assert dataset.scenes[int(dataset[query]['scene'])].name == query.scene
    assert [scene.name for scene in dataset.scenes] == dataset.scenes.names
    assert [scene.name for scene in dataset.scenes[1:3]] == dataset.scenes.names[1:3]


@pytest.mark.parametrize('modalities', [('mask',), ('image', 'image_clear', 'image_sar', 'mask')])
def test_long_legend_stays_inside_the_figure(miniature: Path, modalities: Any) -> None:
    dataset = M3MCR(miniature, classes='level2', modalities=modalities)
    figure = dataset.plot(dataset[whole(dataset)])
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box, outer = legend.get_window_extent(), figure.bbox
    assert outer.x0 <= box.x0
    assert box.x1 <= outer.x1
    plt.close(figure)


def test_plot(dataset: M3MCR) -> None:
    sample = dataset[whole(dataset)]
    sample |= {'prediction': sample['mask'], 'reconstruction': sample['image_clear']}
    figure = dataset.plot(sample, suptitle='A scene')
    assert figure.get_suptitle() == 'A scene'
    assert [axes.get_title() for axes in figure.axes] == [
        'Cloudy', 'Cloud-free', 'Reconstruction', 'SAR', 'Cloud mask', 'Label', 'Prediction'
    ]  # fmt: skip
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*dataset.class_names, 'unknown']
    plt.close(figure)
    figure = dataset.plot({'image': sample['image']}, show_titles=False)
    assert [axes.get_title() for axes in figure.axes] == ['']
    plt.close(figure)
    with pytest.raises(ValueError, match='nothing to plot'):
        dataset.plot({'bounds': sample['bounds']})
