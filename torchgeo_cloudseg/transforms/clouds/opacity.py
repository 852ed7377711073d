"""From the random field to opacity: where clouds begin and how fast they thicken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from .recipe import opacity

#: Opacity of the edge of a cloud without haze, relative to the opacity of its core.
CLEAR_EDGE = 0.03

#: Haze below this is as much.
LEAST_HAZE = 1e-4

#: Images with fewer pixels are too small for their own quantiles.
FEWEST_PIXELS = 64

#: About how many pixels are sorted to find quantiles.
SORTED_PIXELS = 4096

#: Smallest difference of the field between the edge of a cloud and half of its opacity.
NARROWEST = 1e-3


class OpacityCurve(NamedTuple):
    """Mask and opacity of each sample as functions of its random field.

    The logarithm of the optical thickness t is linear in the field, so that t is about lognormal,
    as in real clouds; opacity t / (t + 13.3) is then a logistic function of the field.

    Attributes:
        level: field value above which there is cloud. All are float32 tensors (B, 1, 1).
        half: field value of half the largest opacity.
        steepness: slope of log t.
        ceiling: opacity that the thickest cloud approaches.
        floor: field value above which there is cloud or haze.
    """

    level: Tensor
    half: Tensor
    steepness: Tensor
    ceiling: Tensor
    floor: Tensor

    @classmethod
    def through(cls, level: Tensor, half: Tensor, parameters: Mapping[str, Tensor]) -> Self:
        """The curves through the edge of the clouds and half of their opacity.

        Args:
            level: field values at the edge, tensor (B,).
            half: field values of half the largest opacity, tensor (B,).
            parameters: ``cover``, ``thickness`` and ``haze``, tensors (B,).

        Returns:
            the curves.
        """
        cover, haze = parameters['cover'], parameters['haze']
        core = opacity(parameters['thickness'])
        edge = torch.where(haze > 0, haze.clamp(min=LEAST_HAZE), CLEAR_EDGE * core)
        steepness = torch.log(core / edge - 1) / (half - level).clamp(min=NARROWEST)
        # an overcast sky has no edge, and a sky without any cloud no haze either
        level = torch.where(cover >= 1, -torch.inf, torch.where(cover <= 0, torch.inf, level))
        core = torch.where(cover <= 0, 0.0, core)
        floor = torch.where(haze > 0, -torch.inf, level)
        numbers = (level, half, steepness, core, floor)
        return cls(*(number.float()[:, None, None] for number in numbers))

    def mask(self, field: Tensor) -> Tensor:
        """Where there is cloud.

        Args:
            field: tensor (B, H, W).

        Returns:
            bool tensor (B, H, W).
        """
        return field > self.level

    def alpha(self, field: Tensor) -> Tensor:
        """Opacity.

        Args:
            field: tensor (B, H, W).

        Returns:
            float32 tensor (B, H, W), in 0..1.
        """
        alpha = (field - self.half).mul_(self.steepness)
        # on the CPU, vectorized functions differ in the last bit at the end of what they are given:
        # a sample must not depend on the batch that it is in
        for part in alpha if alpha.is_cpu else (alpha,):
            part.sigmoid_()
        alpha.mul_(self.ceiling)
        # it saves time to know that there is haze everywhere, but not to wait for a device
        hazy = field.is_cpu and bool(self.floor.isneginf().all())
        return alpha if hazy else torch.where(field > self.floor, alpha, 0.0)


def plane_quantiles(parameters: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Edge and half opacity for the unbounded plane, where the field is normally distributed.

    Args:
        parameters: ``cover`` and ``thin``, tensors (B,).

    Returns:
        field values ``level`` and ``half``, tensors (B,).
    """
    level, half = torch.special.ndtri((1 - shares_above(parameters)).clamp(1e-6, 1 - 1e-6))
    return level, half


def image_quantiles(field: Tensor, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Edge and half opacity such that each image has the cover that it should.

    Args:
        field: tensor (B, H, W).
        parameters: ``cover`` and ``thin``, tensors (B,).

    Returns:
        field values ``level`` and ``half``, tensors (B,).
    """
    pixels = field[0].numel()
    if pixels < FEWEST_PIXELS:
        return plane_quantiles(parameters)
    stride = max(1, int((pixels / SORTED_PIXELS) ** 0.5))
    sample = field[:, ::stride, ::stride].flatten(1)
    # NumPy sorts numbers that it has not seen yet in a fifth of the time
    ordered = torch.from_numpy(np.sort(sample.numpy())) if field.is_cpu else sample.sort().values
    shares = shares_above(parameters).T
    level, half = exceeded_by(ordered, shares).unbind(1)
    if stride > 1:
        # correct the sampling error by what it makes of the whole image
        found = (field > level[:, None, None]).count_nonzero((1, 2)) / pixels
        level = exceeded_by(ordered, (2 * shares[:, 0] - found)[:, None])[:, 0]
    return level, half


def shares_above(parameters: Mapping[str, Tensor]) -> Tensor:
    """Shares of the place that are cloudy, and that are more than half as opaque as can be.

    Args:
        parameters: ``cover`` and ``thin``, tensors (B,).

    Returns:
        tensor (2, B).
    """
    cover = parameters['cover']
    return torch.stack([cover, cover * (1 - parameters['thin'])])


def exceeded_by(ordered: Tensor, shares: Tensor) -> Tensor:
    """Values that shares of samples exceed.

    Args:
        ordered: tensor (B, N), ascending.
        shares: of each sample, tensor (B, S); outside of 0..1, the largest or smallest value is
            returned.

    Returns:
        the values (B, S).
    """
    # value i of N stands at (i + 0.5) / N
    last = ordered.shape[1] - 1
    position = ((1 - shares) * (last + 1) - 0.5).clamp(0, last)
    below = position.long().clamp(max=last - 1)
    low, high = ordered.gather(1, below), ordered.gather(1, below + 1)
    return low + (high - low) * (position - below)
