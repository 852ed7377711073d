"""From the random field to opacity: where clouds begin and how fast they thicken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .recipe import opacity

Field = npt.NDArray[np.float32]

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


@dataclass(frozen=True)
class OpacityCurve:
    """Mask and opacity of one sample as functions of its random field.

    The logarithm of the optical thickness t is linear in the field, so that t is about lognormal,
    as in real clouds; opacity t / (t + 13.3) is then a logistic function of the field.

    Attributes:
        level: field value above which there is cloud.
        half: field value of half the largest opacity.
        steepness: slope of log t.
        ceiling: opacity that the thickest cloud approaches.
        veiled: whether there is haze outside of the mask.
    """

    level: float
    half: float
    steepness: float
    ceiling: float
    veiled: bool

    @classmethod
    def through(cls, level: float, half: float, parameters: Mapping[str, float]) -> OpacityCurve:
        """The curve through the edge of the clouds and half of their opacity.

        Args:
            level: field value at the edge.
            half: field value of half the largest opacity.
            parameters: ``cover``, ``thickness`` and ``haze``.

        Returns:
            the curve.
        """
        cover, haze, core = (
            parameters['cover'],
            parameters['haze'],
            opacity(parameters['thickness']),
        )
        edge = max(haze, LEAST_HAZE) if haze > 0 else CLEAR_EDGE * core
        steepness = math.log(core / edge - 1) / max(half - level, NARROWEST)
        if cover >= 1:  # an overcast sky has no edge
            level = -math.inf
        elif cover <= 0:  # a sky without any cloud has no haze either
            level, core = math.inf, 0.0
        return cls(level, half, steepness, core, haze > 0)


def cloud_mask(field: Tensor, curves: Sequence[OpacityCurve]) -> Tensor:
    """Where there is cloud.

    Args:
        field: tensor (B, H, W).
        curves: one per sample (B).

    Returns:
        bool tensor (B, H, W).
    """
    plane = _plane(field)
    return torch.as_tensor(plane > _per_sample([curve.level for curve in curves], plane))


def cloud_alpha(
    field: Tensor, curves: Sequence[OpacityCurve], shares: Sequence[float] | None = None
) -> Tensor:
    """Opacity, or a share of it.

    Args:
        field: tensor (B, H, W).
        curves: one per sample (B).
        shares: factors of the opacity, one per sample (B); by default 1.

    Returns:
        float32 tensor (B, H, W), in 0..1.
    """
    ceilings = [curve.ceiling for curve in curves]
    if shares is not None:
        ceilings = [ceiling * share for ceiling, share in zip(ceilings, shares, strict=True)]
    plane = _plane(field)
    # a logistic function is half of one plus a hyperbolic tangent, which takes NumPy less time
    alpha = plane - _per_sample([curve.half for curve in curves], plane)
    alpha *= _per_sample([curve.steepness / 2 for curve in curves], plane)
    alpha = alpha.tanh_() if isinstance(alpha, Tensor) else np.tanh(alpha, out=alpha)
    alpha += 1
    alpha *= _per_sample([ceiling / 2 for ceiling in ceilings], plane)
    if not all(curve.veiled for curve in curves):
        # haze fades by itself, without an edge
        edges = [-math.inf if curve.veiled else curve.level for curve in curves]
        alpha *= plane > _per_sample(edges, plane)
    return torch.as_tensor(alpha)


def _plane(field: Tensor) -> Any:
    """The same numbers in what computes fastest where they are.

    Planes of this size fit into the cache of one core: NumPy takes half the time there, and
    sharing them out over cores takes longer.
    """
    return field.numpy() if field.is_cpu else field


def _per_sample(values: Sequence[float], plane: Any) -> Any:
    """One value per sample (B) in a form that goes with planes (B, H, W)."""
    if len(values) == 1:
        return values[0]
    if isinstance(plane, Tensor):
        return plane.new_tensor(values)[:, None, None]
    return np.array(values, plane.dtype)[:, None, None]


def plane_quantiles(parameters: Mapping[str, float]) -> tuple[float, float]:
    """Edge and half opacity for the unbounded plane, where the field is normally distributed.

    Args:
        parameters: ``cover`` and ``thin``.

    Returns:
        field values ``level`` and ``half``.
    """
    level, half = (
        NormalDist().inv_cdf(min(max(1 - share, 1e-6), 1 - 1e-6))
        for share in shares_above(parameters)
    )
    return level, half


def image_quantiles(field: Field, parameters: Mapping[str, float]) -> tuple[float, float]:
    """Edge and half opacity such that an image has the cover that it should.

    Args:
        field: array (H, W).
        parameters: ``cover`` and ``thin``.

    Returns:
        field values ``level`` and ``half``.
    """
    if field.size < FEWEST_PIXELS:
        return plane_quantiles(parameters)
    stride = max(1, int((field.size / SORTED_PIXELS) ** 0.5))
    ordered = np.sort(field[::stride, ::stride], axis=None)
    cover, thick = shares_above(parameters)
    level = exceeded_by(ordered, cover)
    if stride > 1:
        # correct the sampling error by what it makes of the whole image
        found = int(np.count_nonzero(field > level)) / field.size
        level = exceeded_by(ordered, 2 * cover - found)
    return level, exceeded_by(ordered, thick)


def shares_above(parameters: Mapping[str, float]) -> tuple[float, float]:
    """Shares of the place that are cloudy, and that are more than half as opaque as can be.

    Args:
        parameters: ``cover`` and ``thin``.

    Returns:
        two shares.
    """
    return parameters['cover'], parameters['cover'] * (1 - parameters['thin'])


def exceeded_by(ordered: Field, share: float) -> float:
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
