"""Flips and quarter turns."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_cloudseg.transforms import RandomFlipRotate
from torchgeo_cloudseg.transforms.flips import dihedral


def test_the_eight_turns_differ_and_keep_all_pixels() -> None:
    image = torch.arange(9).view(3, 3)
    turned = {tuple(dihedral(image, turn).flatten().tolist()) for turn in range(8)}
    assert len(turned) == 8
    assert all(sorted(pixels) == list(range(9)) for pixels in turned)


@given(st.integers(0, 2**31))
def test_modalities_of_different_resolution_move_together(seed: int) -> None:
    torch.manual_seed(seed)
    label = torch.randint(6, (8, 3, 3))
    image = label.repeat_interleave(10, 1).repeat_interleave(10, 2)[:, None].float()
    bounds = torch.arange(8)
    moved = RandomFlipRotate()({'image': image, 'mask': label, 'bounds': bounds})
    torch.testing.assert_close(moved['image'][:, 0, 5::10, 5::10].long(), moved['mask'])
    assert moved['bounds'] is bounds


def test_each_sample_has_its_own_turn() -> None:
    torch.manual_seed(0)
    image = torch.arange(16.0).view(1, 1, 4, 4).expand(64, 1, 4, 4)
    moved = RandomFlipRotate()({'image': image})['image']
    assert len({tuple(sample.flatten().tolist()) for sample in moved}) == 8


def test_oblong_patches_keep_their_shape() -> None:
    torch.manual_seed(0)
    moved = RandomFlipRotate()({'image': torch.rand(16, 1, 4, 6)})
    assert moved['image'].shape == (16, 1, 4, 6)
