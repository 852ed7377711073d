"""Networks that torch.compile takes in one piece."""

from __future__ import annotations

import pytest
import torch

from torchgeo_cloudseg.models import CloudSegNet


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch.compiler.reset()


@pytest.mark.slow
def test_one_graph() -> None:
    torch.manual_seed(0)
    net = CloudSegNet('mit_b0', drop_path=0.0, activation_checkpointing=True)
    # no break in the graph, whatever would be made of it
    compiled = torch.compile(net, backend='eager', fullgraph=True)
    optical, sar = torch.rand(2, 4, 64, 64), torch.rand(2, 2, 64, 64)
    with torch.no_grad():
        expected = net(optical, sar, output_size=(19, 19))
    got = compiled(optical, sar, output_size=(19, 19))
    pairs = [pair for pair in zip(got, expected, strict=True) if pair != (None, None)]
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    sum(a.square().mean() for a, _ in pairs).backward()
    assert all(x.grad is not None for x in net.parameters())
