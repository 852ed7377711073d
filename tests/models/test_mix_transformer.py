"""Our stages against smp's own forward pass."""

from __future__ import annotations

import pytest
import torch
from segmentation_models_pytorch.encoders import get_encoder

from torchgeo_cloudseg.models.encoders import create_encoder


@pytest.mark.slow
@pytest.mark.parametrize('size', [(64, 96), (160, 160)])
def test_equals_smp(size: tuple[int, int], tmp_path) -> None:
    torch.manual_seed(0)
    smp = get_encoder('mit_b0', in_channels=3, weights=None).double().eval()
    torch.save(smp.state_dict(), tmp_path / 'mit_b0.pth')
    ours = create_encoder('mit_b0', 3, weights=tmp_path / 'mit_b0.pth').double().eval()
    x, y = torch.rand(2, 3, *size).double().repeat(2, 1, 1, 1, 1).requires_grad_().unbind()
    x.retain_grad()
    y.retain_grad()
    expected = smp(x)[2:]
    got = ours(y)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)
    (gradient,) = torch.autograd.grad(got[-1].square().sum(), y)
    (expected_gradient,) = torch.autograd.grad(expected[-1].square().sum(), x)
    torch.testing.assert_close(gradient, expected_gradient)


def test_drop_path_grows_from_zero() -> None:
    encoder = create_encoder('mit_b0', 3, drop_path=0.7)
    rates = [getattr(b.drop_path, 'drop_prob', 0) for s in encoder.stages for b in s.blocks]
    assert rates == pytest.approx([i / 10 for i in range(8)], abs=1e-6)


def test_drop_path_acts_in_training_only() -> None:
    x = torch.rand(4, 3, 64, 64)
    encoder = create_encoder('mit_b0', 3, drop_path=0.9)
    assert not encoder(x)[-1].equal(encoder(x)[-1])
    encoder.eval()
    assert encoder(x)[-1].equal(encoder(x)[-1])
