"""CloudSEN12-high: raw memory maps, land cover stored in two ways, padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from torchgeo_cloudseg.datamodules import CloudSEN12DataModule
from torchgeo_cloudseg.datasets import (
    CloudSEN12,
    SceneError,
    ScenesError,
    recognize_dataset,
    validate_scenes,
)
from torchgeo_cloudseg.datasets.cloudsen12 import BANDS
from torchgeo_cloudseg.miniature import write_miniature_cloudsen12
from torchgeo_cloudseg.samplers import CenterSceneSampler, RandomSceneSampler

COUNTS = {'train': 2, 'val': 1, 'test': 1}


@pytest.fixture(scope='module', params=[False, pytest.param(True, marks=pytest.mark.slow)])
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Land cover stored as codes, and as positions."""
    folder = tmp_path_factory.mktemp('cloudsen12')
    return write_miniature_cloudsen12(folder, counts=COUNTS, positions=request.param)


def stored(root: Path, part: str, name: str, dtype: str = '<i2') -> np.ndarray:
    return np.fromfile(root / part / f'{name}.dat', dtype).reshape(-1, 512, 512)


@pytest.mark.slow
def test_pixels_are_those_of_the_memory_maps(root: Path) -> None:
    assert recognize_dataset(root) is CloudSEN12
    for part, count in COUNTS.items():
        dataset = CloudSEN12(root, part)
        queries = list(CenterSceneSampler(dataset))
        assert [query.scene for query in queries] == [f'{part}-{i:04}' for i in range(count)]
        cover = stored(root, part, 'EXTRA_lc10')
        codes = np.unique(cover)
        positions = set(codes.tolist()) <= set(range(11))
        for number, query in enumerate(queries):
            sample = dataset[query]
            names = {'image': [f'L2A_{band}' for band in BANDS], 'image_sar': ['S1_VV', 'S1_VH']}
            for key, files in names.items():
                expected = [stored(root, part, name)[number] for name in files]
                np.testing.assert_array_equal(sample[key].numpy(), expected)
            label = stored(root, part, 'LABEL_manual_hq', 'i1')[number]
            np.testing.assert_array_equal(sample['mask_cloud'], np.isin(label, (1, 2)))
            legend = [entry.codes[0] for entry in CloudSEN12.legend]
            for i, code in enumerate(legend):
                here = (cover[number] == (i if positions else code))[:509, :509]
                np.testing.assert_array_equal(sample['mask'][:509, :509] == i, here)
            # padding
            assert (sample['mask'][509:] == 255).all()
            assert (sample['mask'][:, 509:] == 255).all()
            assert sample['nominal'].tolist() == [True]
    assert validate_scenes(root).ok


def test_windows_and_bands(root: Path) -> None:
    dataset = CloudSEN12(root, modalities=['image'])
    for query in RandomSceneSampler(dataset, 64, length=4):
        place = next(q for q in CenterSceneSampler(dataset) if q.scene == query.scene)
        row = round((place[1].stop - query[1].stop) / 10)
        col = round((query[0].start - place[0].start) / 10)
        expected = [
            stored(root, 'train', f'L2A_{band}')[int(query.scene[-4:])][
                row : row + 64, col : col + 64
            ]
            for band in BANDS
        ]
        np.testing.assert_array_equal(dataset[query]['image'].numpy(), expected)


def test_other_codes_and_files_are_refused(tmp_path: Path) -> None:
    root = write_miniature_cloudsen12(tmp_path, counts={'train': 2})
    file = root / 'train/EXTRA_lc10.dat'
    cover = np.fromfile(file, '<i2')
    cover[7] = 55
    cover.tofile(file)
    dataset = CloudSEN12(root, modalities=['mask'])
    with pytest.raises(SceneError, match=r'label code\(s\) 55 \(0.00%\)'):
        dataset[next(iter(CenterSceneSampler(dataset)))]
    band = root / 'train/L2A_B3.dat'
    band.write_bytes(band.read_bytes()[: 512 * 512 * 2])
    (root / 'train/S1_VH.dat').write_bytes(b'odd')
    (root / 'train/L2A_B5.dat').unlink()
    with pytest.raises(ScenesError) as error:
        CloudSEN12(root)
    found = {Path(problem.path).stem: problem.found for problem in error.value.problems}
    assert found['L2A_B5'] == 'no such file'
    assert found['S1_VH'] == '3 bytes'
    assert 'L2A_B2' in found or 'L2A_B3' in found


def test_batches_of_training(root: Path) -> None:
    data = CloudSEN12DataModule(root=root, batch_size=2, patch_size=128, length=4, clouds='thick')
    data.setup('fit')
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch['image'].shape == (2, 12, 128, 128)
    assert {'image_clear', 'mask_hidden', 'mask_cloud'} <= batch.keys()
    assert 0 <= batch['image'].min() <= batch['image'].max() <= 1
    assert torch.isfinite(batch['image_sar']).all()
