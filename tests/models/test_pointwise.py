"""Linear layers by oneDNN are linear layers."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from torchgeo_cloudseg.models import CloudSegNet, pointwise
from torchgeo_cloudseg.models.pointwise import TokenLinear, linear


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 40), min_size=0, max_size=3),
    channels=st.integers(1, 40),
    wide=st.integers(1, 40),
    bias=st.booleans(),
)
def test_linear_is_linear(shape, channels, wide, bias):
    x = torch.randn(*shape, channels, requires_grad=True)
    layer = nn.Linear(channels, wide, bias)
    grad = torch.randn(*shape, wide)
    exact = copy.deepcopy(layer).double()
    wanted, found = [], []
    for module, tokens, results in (
        (exact, x.detach().double().requires_grad_(), wanted),
        (TokenLinear.of(layer), x, found),
    ):
        y = module(tokens)
        results += [y, *torch.autograd.grad(y, (tokens, *module.parameters()), grad.to(y.dtype))]
    for got, expected in zip(found, wanted, strict=True):
        assert got.shape == expected.shape
        assert (got - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize('count', [192, 200, 384, 400])
def test_many_tokens_take_the_fast_path(count, monkeypatch):
    """Of contiguous tokens, of tokens seen through a transposition, and none at all."""
    calls = []
    monkeypatch.setattr(
        pointwise.F, 'conv2d', lambda *args, of=F.conv2d: calls.append(args[0]) or of(*args)
    )
    weight = torch.randn(8, 5)
    plain, turned = torch.randn(2, count // 2, 5), torch.randn(2, 5, count // 2).transpose(1, 2)
    for x in (plain, turned):
        found = linear(x, weight)
        torch.testing.assert_close(found, x @ weight.T)
        assert found.is_contiguous()
    assert len(calls) == 2
    assert calls[0].is_contiguous(memory_format=torch.channels_last)
    assert calls[0].data_ptr() == plain.data_ptr()
    assert linear(plain[:0], weight).shape == (0, count // 2, 8)
    linear(plain[:, :20], weight)
    assert len(calls) == 2


def test_parameters_are_shared_with_the_source():
    source = nn.Linear(4, 3)
    layer = TokenLinear.of(source)
    assert layer.weight is source.weight
    assert layer.bias is source.bias
    assert TokenLinear.of(nn.Linear(4, 3, bias=False)).bias is None


@pytest.mark.slow
def test_exported_networks_have_linear_layers():
    network = CloudSegNet('mit_b0', weights=False).eval()
    inputs = torch.rand(1, 4, 64, 64), torch.rand(1, 2, 64, 64)
    program = torch.export.export(network, inputs)
    names = [str(node.target) for node in program.graph.nodes]
    assert sum('linear' in name for name in names) > 100
