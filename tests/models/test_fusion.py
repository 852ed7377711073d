"""Fusion blocks against the plain formulas."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_cloudseg.models import CloudSegNet, Fusion, find_fusion
from torchgeo_cloudseg.models.fusion import FusionBlock, MultiScale, SqueezeExcitation


class Mean(Fusion, name='mean'):
    """A block of somebody else: the mean of all maps, one convolution for each."""

    def __init__(self, channels: int, cross: bool, update_optical: bool, update_sar: bool) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(channels, channels, 1)
        self.updates = update_optical, update_sar

    def forward(
        self, optical: torch.Tensor, sar: torch.Tensor, cross: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        maps = [x for x in (optical, sar, cross) if x is not None]
        mean = self.conv(torch.stack(maps).mean(0))
        update_optical, update_sar = self.updates
        return (
            optical + mean if update_optical else optical,
            sar + mean if update_sar else sar,
            mean,
        )


def plain_scales(unit: MultiScale, x: torch.Tensor) -> torch.Tensor:
    """Concatenate first, then convolve."""
    size = x.shape[-2:]
    pooled = [F.interpolate(F.max_pool2d(x, k), size=size, mode='nearest') for k in (2, 4)]
    return F.relu(unit.conv(torch.cat([x, *pooled], dim=1)))


def plain_block(
    block: FusionBlock, optical: torch.Tensor, sar: torch.Tensor, cross: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The block in its plain form: concatenate all groups, weigh them, add them up."""
    o = plain_scales(block.optical_scales, optical)
    s = plain_scales(block.sar_scales, sar)
    c = plain_scales(block.cross_scales, cross)
    d = o - s
    ends = torch.cat([d.max(1, keepdim=True).values, d.mean(1, keepdim=True)], dim=1)
    g = torch.sigmoid(block.gate.bn(block.gate.conv(ends)))
    groups = torch.cat([g * o, s, c], dim=1)
    hidden = F.relu(block.mix.squeeze(F.adaptive_avg_pool2d(groups, 1).flatten(1)))
    groups = groups * torch.sigmoid(block.mix.excite(hidden))[:, :, None, None]
    m = groups.unflatten(1, (3, -1)).sum(1)
    optical = optical + (m - o) * torch.sigmoid(block.to_optical.conv(m - o))
    sar = sar + (m - s) * torch.sigmoid(block.to_sar.conv(m - s))
    return optical, sar, m


@given(st.integers(4, 13), st.integers(4, 13), st.integers(0, 1000))
def test_scales_equal_concatenation(height: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    unit = MultiScale(5)
    x = torch.randn(2, 5, height, width)
    torch.testing.assert_close(unit(x), plain_scales(unit, x), atol=1e-6, rtol=1e-5)


@given(st.integers(1, 3), st.integers(1, 5))
def test_small_maps(height: int, width: int) -> None:
    block = FusionBlock(8).eval()
    maps = [torch.randn(1, 8, height, width) for _ in range(3)]
    for x in block(*maps):
        assert x.shape == (1, 8, height, width)
        assert x.isfinite().all()


def test_one_pixel_is_its_own_pooled_map() -> None:
    unit = MultiScale(3)
    x = torch.randn(1, 3, 1, 1)
    torch.testing.assert_close(unit(x), F.relu(unit.conv(torch.cat([x, x, x], dim=1))))


@pytest.mark.parametrize('training', [True, False])
def test_block_equals_plain_formula_with_gradients(training: bool) -> None:
    torch.manual_seed(0)
    block = FusionBlock(16).double().train(training)
    twin = FusionBlock(16).double().train(training)
    twin.load_state_dict(block.state_dict())
    ours, plain = ([torch.randn(2, 16, 10, 7).double() for _ in range(3)] for _ in range(2))
    plain = [x.clone().requires_grad_() for x in ours]
    ours = [x.requires_grad_() for x in ours]
    for got, expected in zip(block(*ours), plain_block(twin, *plain), strict=True):
        torch.testing.assert_close(got, expected)
    sum(x.square().sum() for x in block(*ours)).backward()
    sum(x.square().sum() for x in plain_block(twin, *plain)).backward()
    for got, expected in zip(ours, plain, strict=True):
        torch.testing.assert_close(got.grad, expected.grad)
    for (name, got), expected in zip(block.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(got.grad, expected.grad, msg=name)


def test_gate_is_that_of_the_paper() -> None:
    gate = FusionBlock(16).gate
    assert (gate.bn.eps, gate.bn.momentum, gate.conv.bias) == (1e-5, 0.01, None)


@pytest.mark.parametrize(('channels', 'maps', 'hidden'), [(64, 2, 8), (320, 3, 60), (4, 2, 128)])
def test_width_of_squeeze(channels: int, maps: int, hidden: int) -> None:
    mix = SqueezeExcitation(channels, maps)
    assert mix.squeeze.weight.shape == (hidden, channels * maps)
    assert mix.excite.bias is None


def test_what_nobody_uses_passes_through() -> None:
    block = FusionBlock(8, cross=False, update_optical=False, update_sar=False)
    optical, sar = torch.randn(2, 1, 8, 6, 6).unbind()
    new_optical, new_sar, fused = block(optical, sar)
    assert new_optical is optical
    assert new_sar is sar
    assert not fused.equal(optical)
    assert not any('cross' in name or '.to_' in name for name, _ in block.named_parameters())


@pytest.mark.slow
@pytest.mark.parametrize('fusion', [Mean, 'mean', f'{__name__}.Mean'])
def test_blocks_of_others_take_part(fusion: str | type[Fusion]) -> None:
    net = CloudSegNet('mit_b0', reconstruct=False, drop_path=0.0, fusion=fusion)
    assert net.config.fusion == 'mean'
    assert not net.config.spatial_gate
    net(torch.rand(1, 4, 64, 64), torch.rand(1, 2, 64, 64)).logits.sum().backward()
    assert not [name for name, x in net.named_parameters() if x.grad is None]
    assert sum(isinstance(x, Mean) for x in net.modules()) == 4


@pytest.mark.slow
def test_gate_has_a_name() -> None:
    """What old arguments say is the same as the name."""
    gated = CloudSegNet('mit_b0').config
    assert (gated.fusion, gated.spatial_gate) == ('cloudseg', True)
    for arguments in ({'spatial_gate': False}, {'fusion': 'cloudseg_ungated'}):
        config = CloudSegNet('mit_b0', **arguments).config
        assert (config.fusion, config.spatial_gate) == ('cloudseg_ungated', False)


@pytest.mark.parametrize('fusion', ['none', 'no.such.module.Block', 'torch.nn.Linear', dict])
def test_what_is_no_block_is_refused(fusion: object) -> None:
    with pytest.raises(ValueError, match='fusion='):
        find_fusion(fusion)


def test_two_blocks_cannot_have_one_name() -> None:
    with pytest.raises(ValueError, match=r"'cloudseg'.*already has this name"):
        type('Other', (Fusion,), {}, name='cloudseg')
