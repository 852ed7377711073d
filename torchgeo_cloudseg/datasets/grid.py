"""Pixel arithmetic between grids that cover the same ground at different resolutions.

Everything is exact: positions are integers on the scene's own grid and resolutions are ratios of
integers, so that no pixel is lost or moved by rounding.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Take(NamedTuple):
    """What to read of a layer along one axis, and where it goes."""

    #: First output pixel that the layer covers.
    start: int
    #: First pixel of the layer to read, and the one after the last.
    low: int
    high: int
    #: For every output pixel from *start* on, the index into the pixels read.
    source: NDArray[np.intp]

    @property
    def stop(self) -> int:
        """One past the last output pixel that the layer covers."""
        return self.start + len(self.source)

    @property
    def contiguous(self) -> bool:
        """Whether the pixels read are the output as they are."""
        return len(self.source) == self.high - self.low


def size_at(size_px: int, ratio: Fraction) -> int:
    """Number of pixels of a layer that cover *size_px* pixels of the scene's grid.

    Args:
        size_px: pixels of the scene's grid.
        ratio: pixels of the layer per pixel of the scene's grid (3/10 for 10 m against 3 m).

    Returns:
        The number of pixels, rounded half up.
    """
    return int(size_px * ratio + Fraction(1, 2))


@lru_cache(maxsize=4096)
def nearest(
    offset_px: int, size_px: int, layer_px: int, ratio: Fraction, out_ratio: Fraction
) -> Take | None:
    """Nearest-neighbor selection along one axis.

    An output pixel takes the layer's pixel in which its center lies. For a layer at 10 m under a
    3 m grid this is index ``floor((i + 0.5) * 0.3)``.

    Args:
        offset_px: first pixel wanted, on the scene's grid; may be negative.
        size_px: number of pixels wanted, on the scene's grid.
        layer_px: pixels that the layer has along this axis.
        ratio: pixels of the layer per pixel of the scene's grid.
        out_ratio: pixels of the output per pixel of the scene's grid.

    Returns:
        The selection, or None where the layer covers no output pixel.
    """
    out_px = size_at(size_px, out_ratio)
    # floor((offset + (i + 1/2) / out_ratio) * ratio), over a common denominator
    first = offset_px * ratio + ratio / out_ratio / 2
    step = ratio / out_ratio
    denominator = np.lcm(first.denominator, step.denominator)
    scaled_first = first.numerator * (int(denominator) // first.denominator)
    scaled_step = step.numerator * (int(denominator) // step.denominator)
    index = (scaled_first + scaled_step * np.arange(out_px, dtype=np.int64)) // denominator
    inside = np.flatnonzero((index >= 0) & (index < layer_px))
    if not len(inside):
        return None
    index = index[inside[0] : inside[-1] + 1]
    low, high = int(index[0]), int(index[-1]) + 1
    return Take(int(inside[0]), low, high, (index - low).astype(np.intp))
