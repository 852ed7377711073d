"""Clouds of other images: where they lie, whose they are, and what they leave alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_cloudseg.transforms import PastedClouds
from torchgeo_cloudseg.transforms.flips import dihedral


def batch(seed: int, count: int, donors: int, size: tuple[int, int]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        'image': torch.rand(count, 3, *size, generator=generator),
        'image_cloudy': 1 + torch.rand(donors, 3, *size, generator=generator),
        'mask_cloudy': (torch.rand(donors, *size, generator=generator) > 0.6).long(),
    }


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 3),
    donors=st.integers(1, 3),
    size=st.sampled_from([(8, 8), (7, 10)]),
)
def test_clouds_are_those_of_one_other_image_and_the_rest_is_as_it_was(
    seed: int, count: int, donors: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(seed)
    given_ = batch(seed, count, donors, size)
    pasted = PastedClouds(layers=['alpha'])(given_)
    assert torch.equal(pasted['image_clear'], given_['image'])
    square = size[0] == size[1]
    for position in range(count):
        image, mask = pasted['image'][position], pasted['mask_cloud'][position]
        alpha = pasted['image_alpha'][position, 0]
        sources = [
            dihedral(donor, turn, square)
            for donor, seen in zip(given_['image_cloudy'], given_['mask_cloudy'], strict=True)
            for turn in range(8)
            if torch.equal(dihedral(seen, turn, square), mask)
        ]
        assert sources
        inside = alpha > 1 - 1e-6
        assert any(
            torch.allclose(image[:, inside], source[:, inside], atol=1e-5) for source in sources
        )
        # nothing beyond a pixel from a cloud changes; at its edge both images are seen
        assert torch.equal(image[:, alpha == 0], given_['image'][position][:, alpha == 0])
        assert bool((alpha[mask == 1] > 0).all())


def test_other_bands_are_left_and_the_cloudiest_image_gives_most_clouds() -> None:
    torch.manual_seed(0)
    given_ = batch(0, 200, 2, (6, 6))
    given_['mask_cloudy'][:] = 0
    given_['mask_cloudy'][0, :1, :4] = 1  # 4 pixels, and 36
    given_['mask_cloudy'][1] = 1
    pasted = PastedClouds(bands=[1])(given_)
    assert 'image_alpha' not in pasted
    assert torch.equal(pasted['image'][:, [0, 2]], given_['image'][:, [0, 2]])
    full = pasted['mask_cloud'].flatten(1).all(dim=1)
    assert bool((pasted['image'][full, 1] > 1).all())
    assert float(full.float().mean()) == pytest.approx(0.9, abs=0.06)


def test_without_cloudy_images_there_are_no_clouds() -> None:
    given_ = batch(0, 2, 0, (6, 6))
    pasted = PastedClouds(layers=['alpha'])(given_)
    assert torch.equal(pasted['image'], given_['image'])
    assert not pasted['mask_cloud'].any()
    assert not pasted['image_alpha'].any()


def test_shadows_are_refused() -> None:
    with pytest.raises(ValueError, match='alpha'):
        PastedClouds(layers=['shadow'])
