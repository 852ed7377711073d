"""How overlapping windows are put together: one weight per window and pixel of its side.

All strategies are separable: the weight of a pixel is the product of a weight by row and one by
column. Weights are scaled so that those of all windows over a pixel add up to one, so the blend
is a plain sum, and exact for a constant.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import torch
from torch import Tensor

from ..._choices import BlendName
from .plan import Axis


class Blend(ABC):
    """Abstract base of the ways to blend windows.

    Example:
        >>> import torch
        >>> from fractions import Fraction
        >>> from torchgeo_cloudseg.inference import Axis
        >>> class First(Blend):
        ...     def profile(self, axis, scale):
        ...         rank = torch.arange(len(axis), dtype=torch.float64)
        ...         return (1e-9**rank)[:, None].expand(-1, int(axis.window_px * scale))
        >>> axis = Axis(6, window_px=4, stride_px=2, step_px=1)
        >>> First().weights(axis, Fraction(1)).round().tolist()
        [[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]
    """

    @abstractmethod
    def profile(self, axis: Axis, scale: Fraction) -> Tensor:
        """Weights before scaling.

        Args:
            axis: windows along an axis.
            scale: output pixels per image pixel.

        Returns:
            float64 (N, w), not negative: one row per window of w output pixels.
        """

    def weights(self, axis: Axis, scale: Fraction) -> Tensor:
        """Weights that add up to one over every output pixel.

        Args:
            axis: windows along an axis.
            scale: output pixels per image pixel.

        Returns:
            float32 (N, w): one row per window of w output pixels.
        """
        profile = self.profile(axis, scale)
        total = torch.zeros(int(axis.padded_px * scale), dtype=torch.float64)
        places = [slice(start, start + profile.shape[1]) for start in _starts(axis, scale)]
        for place, weights in zip(places, profile, strict=True):
            total[place] += weights
        scaled = [weights / total[place] for place, weights in zip(places, profile, strict=True)]
        return torch.stack(scaled).float()


class Average(Blend):
    """Plain mean of the windows whose nominal place covers a pixel (Xu et al. 2024).

    Of a window that was shifted inside the image, only the part from its nominal start on counts.

    Example:
        >>> from fractions import Fraction
        >>> from torchgeo_cloudseg.inference import Axis
        >>> Average().weights(Axis(8, window_px=4, stride_px=4, step_px=1), Fraction(1)).tolist()
        [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """

    def profile(self, axis: Axis, scale: Fraction) -> Tensor:
        """Weights before scaling: 1 from the nominal start on."""
        start = torch.tensor(_starts(axis, scale))
        nominal = torch.tensor([int(px * scale) for px in axis.nominal_starts_px])
        place = start[:, None] + torch.arange(int(axis.window_px * scale))
        return (place >= nominal[:, None]).double()


class Hann(Blend):
    """Weights fall off from the center of a window as a squared sine.

    Example:
        >>> from fractions import Fraction
        >>> from torchgeo_cloudseg.inference import Axis
        >>> axis = Axis(6, window_px=4, stride_px=2, step_px=1)
        >>> [round(weight, 2) for weight in Hann().weights(axis, Fraction(1))[0].tolist()]
        [1.0, 1.0, 0.85, 0.15]
    """

    def profile(self, axis: Axis, scale: Fraction) -> Tensor:
        """Weights before scaling."""
        place = _relative_places(axis, scale)
        return torch.sin(torch.pi * place).square().expand(len(axis), -1)


@dataclass(frozen=True)
class Gaussian(Blend):
    """Weights fall off from the center of a window as a Gaussian.

    Attributes:
        sigma: standard deviation, as a share of the window.

    Example:
        >>> from fractions import Fraction
        >>> from torchgeo_cloudseg.inference import Axis
        >>> axis = Axis(6, window_px=4, stride_px=2, step_px=1)
        >>> [round(weight, 2) for weight in Gaussian().weights(axis, Fraction(1))[0].tolist()]
        [1.0, 1.0, 0.98, 0.02]
    """

    sigma: float = 0.125

    def profile(self, axis: Axis, scale: Fraction) -> Tensor:
        """Weights before scaling."""
        place = _relative_places(axis, scale)
        return torch.exp(-0.5 * ((place - 0.5) / self.sigma).square()).expand(len(axis), -1)


class Crop(Blend):
    """Every pixel is taken from one window; neighbors meet in the middle of their overlap.

    Example:
        >>> from fractions import Fraction
        >>> from torchgeo_cloudseg.inference import Axis
        >>> Crop().weights(Axis(6, window_px=4, stride_px=2, step_px=1), Fraction(1)).tolist()
        [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]]
    """

    def profile(self, axis: Axis, scale: Fraction) -> Tensor:
        """Weights before scaling: 1 between the seams, 0 elsewhere."""
        starts, window = _starts(axis, scale), int(axis.window_px * scale)
        middles = [(first + window + second) // 2 for first, second in pairwise(starts)]
        seams = [0, *middles, starts[-1] + window]
        low, high = torch.tensor(seams[:-1]), torch.tensor(seams[1:])
        place = torch.tensor(starts)[:, None] + torch.arange(window)
        return ((place >= low[:, None]) & (place < high[:, None])).double()


#: Strategies by name.
BLENDS = {'average': Average(), 'hann': Hann(), 'gaussian': Gaussian(), 'crop': Crop()}


def make_blend(blend: BlendName | Blend) -> Blend:
    """Look up a strategy by its name.

    Args:
        blend: 'average', 'hann', 'gaussian' or 'crop', or a strategy, which is returned.

    Returns:
        the strategy.

    Raises:
        ValueError: if there is none of this name.

    Example:
        >>> type(make_blend('hann')).__name__
        'Hann'
    """
    if isinstance(blend, Blend):
        return blend
    if blend not in BLENDS:
        raise ValueError(f'blend={blend!r}: expected one of {", ".join(BLENDS)}.')
    return BLENDS[blend]


def _starts(axis: Axis, scale: Fraction) -> list[int]:
    """Place of each window, in output pixels."""
    return [int(start * scale) for start in axis.starts_px]


def _relative_places(axis: Axis, scale: Fraction) -> Tensor:
    """Centers of a window's output pixels, 0 to 1 along the window."""
    window = int(axis.window_px * scale)
    return (torch.arange(window, dtype=torch.float64) + 0.5) / window
