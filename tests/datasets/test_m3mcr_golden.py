"""The data set against the authors' loader, on a real patch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.samplers import CenterSceneSampler
from torchgeo_cloudseg.transforms import Rescale

KEYS = {
    'image': 'cloudy_data',
    'image_clear': 'cloudfree_data',
    'image_sar': 'SAR_data',
    'mask_cloud': 'cloudmask_data',
}
CROPS = {
    '0_0': (0, 0, 160),
    '3_7': (30, 70, 160),
    '14_14': (140, 140, 160),
    'centre': (70, 70, 160),
    'whole': (0, 0, 300),
}


def query(dataset: M3MCR, row: int, col: int, size: int) -> tuple[slice, slice]:
    xmin, _, _, ymax = dataset.index.total_bounds
    x = slice(xmin + 3 * col, xmin + 3 * (col + size))
    return x, slice(ymax - 3 * (row + size), ymax - 3 * row)


@pytest.mark.parametrize('crop', CROPS)
def test_patches_equal_the_authors_bit_for_bit(
    real_golden: Path, real_root: Path, crop: str
) -> None:
    dataset = M3MCR(real_root)
    sample = Rescale(M3MCR.ranges)(dataset[query(dataset, *CROPS[crop])])
    with np.load(real_golden / 'dataloader.npz') as recorded:
        for key, name in KEYS.items():
            expected = recorded[f'{crop}/{name}']
            np.testing.assert_array_equal(sample[key].numpy(), expected, err_msg=key)


@pytest.mark.parametrize('classes', ['level1', 'level2'])
@pytest.mark.parametrize(('label_res', 'meters'), [('native', '10m'), ('optical', '3m')])
@pytest.mark.parametrize('crop', CROPS)
def test_labels_equal_the_authors(
    real_golden: Path, real_root: Path, classes: str, label_res: str, meters: str, crop: str
) -> None:
    dataset = M3MCR(real_root, modalities=['mask'], classes=classes, label_res=label_res)
    label = dataset[query(dataset, *CROPS[crop])]['mask'].numpy()
    with np.load(real_golden / 'dataloader.npz') as recorded:
        expected = recorded[f'{crop}/landcover_data/{classes}/{meters}'].astype(np.int64)
    if classes == 'level1':
        expected[expected == 6] = 255
    np.testing.assert_array_equal(label, expected)


def test_centre_patch_of_the_data_module_is_the_authors(real_golden: Path, real_root: Path) -> None:
    datamodule = M3MCRDataModule(root=real_root, batch_size=1)
    datamodule.setup('fit')
    datamodule.val_dataset = datamodule.train_dataset
    datamodule.val_sampler = CenterSceneSampler(datamodule.train_dataset, 160)
    (batch,) = datamodule.val_dataloader()
    batch = datamodule.on_after_batch_transfer(
        datamodule.transfer_batch_to_device(batch, torch.device('cpu'), 0), 0
    )
    with np.load(real_golden / 'dataloader.npz') as recorded:
        for key, name in KEYS.items():
            np.testing.assert_array_equal(batch[key][0].numpy(), recorded[f'centre/{name}'])
