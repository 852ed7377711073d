"""Activation checkpointing: the same gradients, kept in less memory."""

from __future__ import annotations

import pytest
import torch

from torchgeo_cloudseg.models import CloudSegNet


def step(net: CloudSegNet) -> tuple[dict[str, torch.Tensor], int]:
    """Gradients of one step, and the bytes kept for the backward pass."""
    weights = {x.untyped_storage().data_ptr() for x in net.parameters()}
    kept: dict[int, int] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    torch.manual_seed(1)
    optical, sar = torch.rand(2, 4, 64, 64), torch.rand(2, 2, 64, 64)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        out = net(optical, sar)
    size = sum(kept.values())
    (out.logits.square().mean() + out.reconstruction.square().mean()).backward()
    return {name: x.grad for name, x in net.named_parameters()}, size


@pytest.mark.parametrize('encoder', ['mit_b0', 'convnext_atto', 'resnet18'])
def test_same_gradients(encoder: str) -> None:
    plain = CloudSegNet(encoder, drop_path=0.5)
    thrifty = CloudSegNet(encoder, drop_path=0.5, activation_checkpointing=True)
    thrifty.load_state_dict(plain.state_dict())
    expected, whole = step(plain)
    got, part = step(thrifty)
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, msg=name)
    # statistics of batch norm are counted once
    buffers = dict(plain.named_buffers())
    assert all(x.equal(buffers[name]) for name, x in thrifty.named_buffers())
    # ResNet has batch norm in every stage
    assert part == whole if encoder == 'resnet18' else part < 0.75 * whole, part / whole
