"""Weights that follow from names and shapes, so that none need to be stored."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable

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
