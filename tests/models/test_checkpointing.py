"""Activation checkpointing: the same gradients, kept in less memory."""

from __future__ import annotations

import pytest
import torch

from torchgeo_cloudseg.models import CloudSegNet
from torchgeo_cloudseg.models.checkpointing import recomputed_linear


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


@pytest.mark.parametrize('count', [10, 400])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('frozen', [(), ('x',), ('weight', 'scale'), ('bias',), ('x', 'scale')])
def test_recomputed_linear_has_the_gradients_of_a_linear_layer(
    count: int, dtype: torch.dtype, frozen: tuple[str, ...]
) -> None:
    """For few and many tokens, with and without autocasting, whatever is not trained."""
    torch.manual_seed(0)
    shapes = {'x': (2, count, 8), 'scale': (8,), 'weight': (5, 8), 'bias': (5,)}
    tensors = {
        name: torch.randn(shape).requires_grad_(name not in frozen)
        for name, shape in shapes.items()
    }
    x, scale, weight, bias = tensors.values()

    def function(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x * scale)

    kept: list[tuple[int, ...]] = []
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype != torch.float32):
        expected = torch.nn.functional.linear(function(x, scale), weight, bias)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x: kept.append(tuple(x.shape)) or x, lambda x: x
        ):
            got = recomputed_linear(function, x, (scale,), weight, bias)
    assert got.dtype == expected.dtype == dtype
    torch.testing.assert_close(got, expected)
    assert kept == [shapes['x'], shapes['weight'], shapes['scale']]
    grad = torch.randn_like(expected)
    trained = [tensor for tensor in tensors.values() if tensor.requires_grad]
    gradients = (torch.autograd.grad(y, trained, grad) for y in (got, expected))
    for found, wanted in zip(*gradients, strict=True):
        assert found.dtype == wanted.dtype
        close = 2e-2 if dtype == torch.bfloat16 else 1e-5
        assert (found - wanted).norm() <= close * wanted.norm()


def test_recomputed_linear_of_nothing_but_tokens() -> None:
    x, weight = torch.randn(3, 8, requires_grad=True), torch.randn(5, 8, requires_grad=True)
    got = recomputed_linear(torch.nn.functional.gelu, x, (), weight)
    expected = torch.nn.functional.gelu(x) @ weight.T
    torch.testing.assert_close(got, expected)
    for found, wanted in zip(
        *(torch.autograd.grad(y.square().sum(), (x, weight)) for y in (got, expected)), strict=True
    ):
        torch.testing.assert_close(found, wanted)
