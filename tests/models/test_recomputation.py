"""Activation checkpointing: the same gradients, kept in less memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

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


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ('convnext_atto', 'resnet18')]


@pytest.mark.slow
@pytest.mark.parametrize('encoder', ['mit_b0', *SLOW])
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


class Calls(TorchDispatchMode):
    """Names of the operators that are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.names.append(func.name())
        return func(*args, **(kwargs or {}))


def test_attention_is_not_computed_again() -> None:
    net = CloudSegNet('mit_b0', drop_path=0.0, activation_checkpointing=True)
    out = net(torch.rand(1, 4, 64, 64), torch.rand(1, 2, 64, 64))
    with Calls() as calls:
        out.logits.sum().backward()
    assert 'aten::native_layer_norm' in calls.names
    attention = [name for name in calls.names if 'scaled_dot_product' in name]
    assert attention
    assert all('backward' in name for name in attention), attention
