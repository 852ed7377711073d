"""Scaling to 0..1 and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_cloudseg.transforms import Rescale

RANGES = {'image': ((0.0,), (10000.0,)), 'image_sar': ((-25.0, -32.5), (0.0, 0.0))}


def test_ends_of_each_band_become_zero_and_one() -> None:
    sar = torch.tensor([[-25.0, 0.0, -40.0, 7.0], [-32.5, 0.0, -40.0, 7.0]]).view(2, 1, 4)
    scaled = Rescale(RANGES)({'image_sar': sar})['image_sar']
    torch.testing.assert_close(scaled, torch.tensor([0.0, 1.0, 0.0, 1.0]).expand(2, 1, 4))


@given(st.lists(st.floats(0, 10000, width=32), min_size=4, max_size=4))
def test_inverse_restores_values_inside_the_range(values: list[float]) -> None:
    rescale = Rescale(RANGES)
    image = torch.tensor(values).view(1, 1, 2, 2)
    batch = {'image': image, 'reconstruction': rescale({'image': image})['image']}
    restored = rescale.inverse(
        rescale({'image': image}) | {'reconstruction': batch['reconstruction']},
        {'reconstruction': 'image'},
    )
    torch.testing.assert_close(restored['image'], image, rtol=1e-6, atol=1e-2)
    torch.testing.assert_close(restored['reconstruction'], image, rtol=1e-6, atol=1e-2)


def test_other_keys_and_the_input_are_left_alone() -> None:
    mask = torch.ones(2, 2, dtype=torch.long)
    sample = {'image': torch.full((4, 2, 2), 5000.0), 'mask': mask}
    scaled = Rescale(RANGES)(sample)
    assert scaled['mask'] is mask
    assert sample['image'].max() == 5000
    assert scaled['image'].unique().tolist() == [0.5]


def test_wrong_number_of_bands_is_named() -> None:
    with pytest.raises(ValueError, match='image_sar has 3 bands, but 2 ranges'):
        Rescale(RANGES)({'image_sar': torch.zeros(3, 2, 2)})


def test_empty_range_is_refused() -> None:
    with pytest.raises(ValueError, match='lower end must be below'):
        Rescale({'image': ((1.0,), (1.0,))})


def test_is_stateless_in_checkpoints() -> None:
    assert not Rescale(RANGES).state_dict()
