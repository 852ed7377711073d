"""Weights that follow from their names, as the golden numbers were made with."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor


def golden_tensor(name: str, shape: Iterable[int]) -> Tensor:
    """The tensor of a name in a released file (with ``module.``)."""
    shape = tuple(shape)
    if name.endswith('num_batches_tracked'):
        return torch.zeros(shape, dtype=torch.long)
    draw = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if name.endswith('running_var'):
        return 1 + 0.02 * draw.abs()
    if len(shape) >= 2:
        fan_in = math.prod(shape[1:])
        return draw * ((2 if len(shape) == 4 else 1) / fan_in) ** 0.5
    return 1 + 0.02 * draw if name.endswith('weight') else 0.02 * draw


@pytest.fixture(scope='session')
def golden_inputs() -> tuple[Tensor, Tensor]:
    """Optical and SAR images of which the golden outputs were made."""
    g = torch.Generator().manual_seed(0)
    optical = torch.rand(1, 4, 160, 160, generator=g)
    return optical, torch.rand(1, 2, 160, 160, generator=g)


@pytest.fixture(scope='session')
def released_network(golden: Path) -> Callable[[str], dict[str, Tensor]]:
    """Makes the state dict of a released file, dead parameters included."""

    def make(kind: str) -> dict[str, Tensor]:
        entries = json.loads((golden / f'{kind}_state_dict.json').read_text())['state_dict']
        return {name: golden_tensor(name, shape) for name, shape in entries}

    return make
