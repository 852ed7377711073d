"""Several modalities as one image."""

import pytest
import torch

from torchgeo_cloudseg.transforms import StackModalities


def test_bands_are_joined_in_order() -> None:
    sample = {'image': torch.zeros(4, 2, 2), 'image_sar': torch.ones(2, 2, 2), 'mask': 0}
    stacked = StackModalities()(sample)
    assert stacked['image'][:, 0, 0].tolist() == [0, 0, 0, 0, 1, 1]
    assert set(stacked) == {'image', 'mask'}


def test_joined_modalities_can_be_kept() -> None:
    sample = {'image': torch.zeros(1, 4, 2, 2), 'image_sar': torch.ones(1, 2, 2, 2)}
    assert set(StackModalities(drop=False)(sample)) == {'image', 'image_sar'}


def test_missing_modality_is_named() -> None:
    with pytest.raises(KeyError, match=r"no \['image_sar'\].*modalities="):
        StackModalities()({'image': torch.zeros(4, 2, 2)})
