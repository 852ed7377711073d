"""From the random field to opacity: where clouds begin and how fast they thicken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .recipe import opacity

Array = npt.NDArray[np.float64]

#: Opacity of the edge of a cloud without haze, relative to the opacity of its core.
CLEAR_EDGE = 0.03

#: Haze below this is as much.
LEAST_HAZE = 1e-4

#: Images with fewer pixels are too small for their own quantiles.
FEWEST_PIXELS = 64

#: About how many pixels are sorted to find quantiles.
SORTED_PIXELS = 4096

#: How often the quantile is corrected by counting all pixels.
CORRECTIONS = 2

#: Smallest difference of the field between the edge of a cloud and half of its opacity.
NARROWEST = 1e-3


@dataclass(frozen=True)
class OpacityCurve:
    """Mask and opacity as functions of the random field, per sample.

    The logarithm of the optical thickness t is linear in the field, so that t is about lognormal,
    as in real clouds; opacity t / (t + 13.3) is then a logistic function of the field.

    Attributes:
        level: field value above which there is cloud, array (B,).
        half: field value of half the largest opacity, array (B,).
        steepness: slope of log t, array (B,).
        ceiling: opacity that the thickest cloud approaches, array (B,).
        veiled: whether there is haze outside of the mask.
    """

    level: Array
    half: Array
    steepness: Array
    ceiling: Array
    veiled: bool

    @classmethod
    def through(cls, level: Array, half: Array, parameters: Mapping[str, Array]) -> OpacityCurve:
        """The curve through the edge of the clouds and half of their opacity.

        Args:
            level: field value at the edge (B,).
            half: field value of half the largest opacity (B,).
            parameters: ``cover``, ``thickness`` and ``haze`` of each sample (B,).

        Returns:
            the curve.
        """
        thickness, cover, haze = (parameters[name] for name in ('thickness', 'cover', 'haze'))
        core = opacity(thickness)
        veiled = bool(haze.any())
        edge = np.maximum(haze, LEAST_HAZE) if veiled else CLEAR_EDGE * core
        steepness = np.log(core / edge - 1) / np.maximum(half - level, NARROWEST)
        # a sky without any cloud has no haze either; an overcast one has no edge
        ceiling = np.where(cover > 0, core, 0)
        level = np.where(cover >= 1, -np.inf, np.where(cover <= 0, np.inf, level))
        return cls(level, half, steepness, ceiling, veiled)

    def __getitem__(self, samples: slice) -> OpacityCurve:
        """The curves of some samples."""
        return OpacityCurve(
            self.level[samples],
            self.half[samples],
            self.steepness[samples],
            self.ceiling[samples],
            self.veiled,
        )

    def mask(self, field: Tensor) -> Tensor:
        """Where there is cloud.

        Args:
            field: tensor (B, H, W).

        Returns:
            bool tensor (B, H, W).
        """
        if field.is_cpu:  # NumPy compares several times as fast
            return torch.from_numpy(field.numpy() > self.level.astype(np.float32)[:, None, None])
        return field > per_sample(self.level, field)

    def alpha(self, field: Tensor) -> Tensor:
        """Opacity.

        Args:
            field: tensor (B, H, W).

        Returns:
            float32 tensor (B, H, W), in 0..1.
        """
        alpha = (field - per_sample(self.half, field)).mul_(per_sample(self.steepness, field))
        alpha.sigmoid_().mul_(per_sample(self.ceiling, field))
        return alpha if self.veiled else alpha.mul_(self.mask(field))


def per_sample(values: Array, like: Tensor) -> Tensor | float:
    """One value per sample in a form that multiplies images.

    Args:
        values: array (B,).
        like: tensor (B, H, W).

    Returns:
        tensor (B, 1, 1) of the same type and device; a plain number where B is 1, because that
        takes less time.
    """
    if len(values) == 1:
        return float(values[0])
    return torch.from_numpy(values).to(like)[:, None, None]


def plane_quantiles(parameters: Mapping[str, Array]) -> tuple[Array, Array]:
    """Edge and half opacity for the unbounded plane, where the field is normally distributed.

    Args:
        parameters: ``cover`` and ``thin`` of each sample (B,).

    Returns:
        field values ``level`` and ``half`` (B,).
    """
    shares = np.clip(1 - np.stack(shares_above(parameters)), 1e-6, 1 - 1e-6)
    inverse = NormalDist().inv_cdf
    level, half = np.array([[inverse(share) for share in row] for row in shares])
    return level, half


def image_quantiles(field: Tensor, parameters: Mapping[str, Array]) -> tuple[Array, Array]:
    """Edge and half opacity such that each image has the cover that it should.

    Args:
        field: tensor (B, H, W) on the CPU.
        parameters: ``cover`` and ``thin`` of each sample (B,).

    Returns:
        field values ``level`` and ``half`` (B,).
    """
    pixels = field[0].numel()
    if pixels < FEWEST_PIXELS:
        return plane_quantiles(parameters)
    stride = max(1, int((pixels / SORTED_PIXELS) ** 0.5))
    shares = np.stack(shares_above(parameters), 1).tolist()
    found = []
    for image, (cover, thick) in zip(field.numpy(), shares, strict=True):
        ordered = np.sort(image[::stride, ::stride], axis=None)
        share, level = cover, exceeded_by(ordered, cover)
        for _ in range(CORRECTIONS if stride > 1 else 0):
            # correct the sampling error by what it makes of the whole image
            share += cover - np.count_nonzero(image > np.float32(level)) / pixels
            level = exceeded_by(ordered, share)
        found.append((level, exceeded_by(ordered, thick)))
    levels, halves = np.array(found).T
    return levels, halves


def shares_above(parameters: Mapping[str, Array]) -> tuple[Array, Array]:
    """Shares of the place that are cloudy, and that are more than half as opaque as can be.

    Args:
        parameters: ``cover`` and ``thin`` of each sample (B,).

    Returns:
        two arrays (B,).
    """
    return parameters['cover'], parameters['cover'] * (1 - parameters['thin'])


def exceeded_by(ordered: npt.NDArray[np.float32], share: float) -> float:
    """Value that a share of a sample exceeds.

    Args:
        ordered: array (N,), ascending.
        share: of the sample; outside of 0..1, the largest or smallest value is returned.

    Returns:
        the value.
    """
    # value i of N stands at (i + 0.5) / N
    position = min(max((1 - share) * len(ordered) - 0.5, 0), len(ordered) - 1)
    below = min(int(position), len(ordered) - 2)
    low, high = float(ordered[below]), float(ordered[below + 1])
    return low + (high - low) * (position - below)
