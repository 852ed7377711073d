"""Networks that torch.compile and torch.export take in one piece."""

from __future__ import annotations

import pytest
import torch
import torch.fx.experimental._config

from torchgeo_cloudseg.models import CloudSegNet


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch.compiler.reset()


def test_one_graph() -> None:
    torch.manual_seed(0)
    net = CloudSegNet('mit_b0', drop_path=0.0, activation_checkpointing=True)
    # no break in the graph, whatever would be made of it
    compiled = torch.compile(net, backend='eager', fullgraph=True)
    optical, sar = torch.rand(2, 4, 64, 64), torch.rand(2, 2, 64, 64)
    with torch.no_grad():
        expected = net(optical, sar, output_size=(19, 19))
    got = compiled(optical, sar, output_size=(19, 19))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    sum(x.square().mean() for x in got).backward()
    assert all(x.grad is not None for x in net.parameters())


def test_export_of_any_batch_and_size() -> None:
    torch.manual_seed(0)
    net = CloudSegNet('mit_b0', reconstruct=False).eval()
    batch = torch.export.Dim('batch', max=64)
    sides = {i: 32 * torch.export.Dim(f'side{i}', min=4, max=64) for i in (2, 3)}
    shapes = {name: {0: batch, **sides} for name in ('optical', 'sar')}
    inputs = torch.rand(2, 4, 288, 256), torch.rand(2, 2, 288, 256)
    # PyTorch's choice of a memory layout asks whether small maps are one pixel wide
    with torch.fx.experimental._config.patch(backed_size_oblivious=True):
        exported = torch.export.export(net, inputs, dynamic_shapes=shapes, strict=False)
    optical, sar = torch.rand(3, 4, 160, 128), torch.rand(3, 2, 160, 128)
    with torch.no_grad():
        got, expected = exported.module()(optical, sar), net(optical, sar)
    assert got.reconstruction is None
    torch.testing.assert_close(got.logits, expected.logits, rtol=1e-4, atol=1e-5)
