"""Sliding windows over tensors."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_cloudseg.inference import sliding_window

BLENDS = ('average', 'hann', 'gaussian', 'crop')
SCALE = Fraction(3, 10)


def label_pixels(optical: Tensor) -> tuple[int, int]:
    return int(optical.shape[-2] * SCALE), int(optical.shape[-1] * SCALE)


def pooled(optical: Tensor, sar: Tensor) -> Tensor:
    """A network without context: sees every 10 px block alone."""
    both = torch.cat([optical, sar], dim=1)
    blocks = F.avg_pool2d(both, 10)
    return blocks.repeat_interleave(3, dim=-2).repeat_interleave(3, dim=-1)


class Positional:
    """The stand-in of the golden numbers: a pixel's logits depend on its place in the window."""

    def __init__(self, w: Tensor, v: Tensor) -> None:
        self.w, self.v = w, v
        self.batches: list[int] = []

    def __call__(self, optical: Tensor, sar: Tensor) -> Tensor:
        self.batches.append(len(optical))
        yy = torch.linspace(0, 1, optical.shape[-2])[:, None]
        xx = torch.linspace(0, 1, optical.shape[-1])
        z = torch.einsum('kc,bchw->bkhw', self.w, optical) + yy + 2 * xx
        z = z + torch.einsum('kc,bchw->bkhw', self.v, sar)
        return F.interpolate(z, label_pixels(optical), mode='bilinear', align_corners=False)


@pytest.fixture
def positional() -> Positional:
    g = torch.Generator().manual_seed(3)
    return Positional(torch.randn(6, 4, generator=g), torch.randn(6, 2, generator=g))


def golden_images() -> dict[str, tuple[Tensor, Tensor]]:
    g = torch.Generator().manual_seed(3)
    torch.randn(6, 4, generator=g), torch.randn(6, 2, generator=g)
    images = {}
    for h, w in ((300, 300), (400, 340)):
        optical = torch.rand(1, 4, h, w, generator=g)
        images[f'{h}x{w}'] = optical, torch.rand(1, 2, h, w, generator=g)
    return images


@pytest.mark.parametrize('size', ['300x300', '400x340'])
@pytest.mark.parametrize('batch_size', [1, 3, 16])
def test_golden(golden: Path, positional: Positional, size: str, batch_size: int) -> None:
    expected = np.load(golden / 'sliding_window.npz')
    np.testing.assert_array_equal(positional.w, expected['W'])
    optical, sar = golden_images()[size]
    logits = sliding_window(positional, optical, sar, batch_size=batch_size)
    np.testing.assert_allclose(logits, expected[size], rtol=0, atol=1e-5)


def test_images_of_a_batch_share_forward_passes(positional: Positional) -> None:
    optical, sar = torch.rand(4, 4, 300, 300), torch.rand(4, 2, 300, 300)
    together = sliding_window(positional, optical, sar, batch_size=8)
    assert positional.batches == [8, 4] * 3
    for image in range(4):
        one = slice(image, image + 1)
        alone = sliding_window(positional, optical[one], sar[one])
        torch.testing.assert_close(together[one], alone)


@given(
    height=st.integers(1, 420),
    width=st.integers(1, 420),
    stride=st.sampled_from([40, 80, 120, 160]),
    blend=st.sampled_from(BLENDS),
)
def test_a_network_without_context_gives_the_same_as_on_the_whole_image(
    height: int, width: int, stride: int, blend: str
) -> None:
    optical, sar = torch.rand(1, 2, height, width), torch.rand(1, 1, height, width)
    logits = sliding_window(pooled, optical, sar, stride=stride, blend=blend)
    padding = (0, -width % 10, 0, -height % 10)
    whole = pooled(*(F.pad(image, padding, mode='replicate') for image in (optical, sar)))
    rows, columns = int(height * 0.3 + 0.5), int(width * 0.3 + 0.5)
    assert logits.shape == (1, 3, rows, columns)
    torch.testing.assert_close(logits, whole[:, :, :rows, :columns])


def test_image_smaller_than_a_window_is_one_window(positional: Positional) -> None:
    optical, sar = torch.rand(1, 4, 100, 130), torch.rand(1, 2, 100, 130)
    logits = sliding_window(positional, optical, sar)
    assert positional.batches == [1]
    torch.testing.assert_close(logits, positional(optical, sar))


@pytest.mark.parametrize('blend', BLENDS)
@pytest.mark.parametrize('shift', [(80, 0), (0, 80), (160, 80)])
def test_shifting_by_a_stride_shifts_the_output(
    positional: Positional, blend: str, shift: tuple[int, int]
) -> None:
    y, x = shift
    scene, radar = torch.rand(1, 4, 560, 560), torch.rand(1, 2, 560, 560)
    whole = sliding_window(positional, scene, radar, blend=blend)
    moved = sliding_window(positional, scene[..., y:, x:], radar[..., y:, x:], blend=blend)
    # inside, where the same windows look at the same pixels
    dy, dx, margin = int(y * SCALE), int(x * SCALE), 24
    torch.testing.assert_close(
        moved[..., margin:, margin:], whole[..., dy + margin :, dx + margin :], atol=1e-5, rtol=0
    )


@pytest.mark.parametrize('blend', BLENDS)
def test_constant_stays_constant(blend: str) -> None:
    def constant(optical: Tensor, sar: Tensor) -> Tensor:
        return torch.full((len(optical), 2, *label_pixels(optical)), 3.0)

    logits = sliding_window(
        constant, torch.rand(1, 4, 330, 470), torch.rand(1, 2, 330, 470), blend=blend
    )
    torch.testing.assert_close(logits, torch.full_like(logits, 3.0), rtol=1e-6, atol=0)


def test_no_gradient_and_float32(positional: Positional) -> None:
    positional.w.requires_grad_(True)

    def half(optical: Tensor, sar: Tensor) -> Tensor:
        return positional(optical, sar).bfloat16()

    logits = sliding_window(half, torch.rand(1, 4, 300, 300), torch.rand(1, 2, 300, 300))
    assert not logits.requires_grad
    assert logits.dtype == torch.float32


def test_output_of_another_size_is_refused() -> None:
    def image_size(optical: Tensor, sar: Tensor) -> Tensor:
        return optical

    with pytest.raises(ValueError, match=r'gave \(160, 160\) .* expected \(48, 48\)'):
        sliding_window(image_size, torch.rand(1, 4, 300, 300), torch.rand(1, 2, 300, 300))


@pytest.mark.parametrize(
    'shape', [(1, 2, 300, 299), (1, 2, 299, 300), (2, 2, 300, 300), (2, 300, 300)]
)
def test_images_that_do_not_match_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match='same B, H and W'):
        sliding_window(pooled, torch.rand(1, 4, 300, 300), torch.rand(shape))


def test_batch_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match='batch_size=0'):
        sliding_window(pooled, torch.rand(1, 4, 160, 160), torch.rand(1, 2, 160, 160), batch_size=0)
