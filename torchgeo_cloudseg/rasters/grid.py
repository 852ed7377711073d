"""Where pixels lie, and which pixels of one grid lie under those of another.

Arithmetic between grids that cover the same ground is exact: positions are integers on the scene's
own grid and resolutions are ratios of integers, so that no pixel is lost or moved by rounding.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.transform import Affine, from_bounds

from .control import Control

#: Largest denominator of a scale that was given as a decimal fraction.
MAX_DENOMINATOR = 1000

#: Largest distance of pixels that count as the same, in pixels.
SAME_PX = 0.05

Bounds = tuple[float, float, float, float]


class Grid(NamedTuple):
    """Where the pixels of a raster lie.

    Example:
        >>> grid = Grid.north_up('EPSG:32631', (500_000, 100_000), (10, 10), size_px=(256, 512))
        >>> grid.bounds
        (500000.0, 97440.0, 505120.0, 100000.0)
    """

    #: rasterio's object, or text that it understands; None where the file does not say.
    crs: CRS | str | None
    transform: Affine
    height: int
    width: int
    #: What states the place where there is no CRS: ground control points, or polynomials.
    control: Control | None = None

    @classmethod
    def north_up(
        cls,
        crs: CRS | str | None,
        corner: tuple[float, float],
        pixel: tuple[float, float],
        size_px: tuple[int, int],
    ) -> Grid:
        """A grid whose rows run from west to east and whose columns run from north to south.

        Args:
            crs: coordinate reference system.
            corner: left and top, in units of the CRS.
            pixel: width and height of a pixel, positive, in units of the CRS.
            size_px: height and width.

        Returns:
            the grid.
        """
        return cls(crs, Affine(pixel[0], 0, corner[0], 0, -pixel[1], corner[1]), *size_px)

    @classmethod
    def from_bounds(cls, crs: CRS | str | None, bounds: Bounds, size_px: tuple[int, int]) -> Grid:
        """A north-up grid of so many pixels within bounds.

        Args:
            crs: coordinate reference system.
            bounds: left, bottom, right and top, in units of the CRS.
            size_px: height and width.

        Returns:
            the grid.
        """
        return cls(crs, from_bounds(*bounds, size_px[1], size_px[0]), *size_px)

    @property
    def corners(self) -> list[tuple[float, float]]:
        """The four corners, in units of the CRS."""
        a, b, c, d, e, f = tuple(self.transform)[:6]
        places = ((0, 0), (self.width, 0), (0, self.height), (self.width, self.height))
        return [(a * col + b * row + c, d * col + e * row + f) for col, row in places]

    @property
    def bounds(self) -> Bounds:
        """Left, bottom, right and top, in units of the CRS."""
        xs, ys = zip(*self.corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def part(self, rows: tuple[int, int], cols: tuple[int, int]) -> Grid:
        """The grid of a window.

        Args:
            rows: first row and the one after the last.
            cols: first column and the one after the last.

        Returns:
            its grid.
        """
        a, b, c, d, e, f = tuple(self.transform)[:6]
        left, top = c + a * cols[0] + b * rows[0], f + d * cols[0] + e * rows[0]
        place = Affine(a, b, left, d, e, top)
        control = self.control.moved(rows[0], cols[0]) if self.control else None
        return Grid(self.crs, place, rows[1] - rows[0], cols[1] - cols[0], control)

    def position_in(self, other: Grid) -> tuple[int, int] | None:
        """Row and column of another grid in which this one begins, where pixels are the same.

        Args:
            other: the other grid, as north-up as this one.

        Returns:
            row and column, which may lie beyond the other grid; None where pixels differ.

        Example:
            >>> grid = Grid.north_up('EPSG:32632', (5e5, 5e6), (10, 10), (512, 512))
            >>> grid.part((64, 128), (0, 64)).position_in(grid)
            (64, 0)
        """
        first, second = self.transform, other.transform
        row, col = (first.f - second.f) / second.e, (first.c - second.c) / second.a
        apart = (row - round(row), col - round(col))
        drift = (first.e / second.e - 1) * self.height, (first.a / second.a - 1) * self.width
        same = self.crs == other.crs and max(map(abs, (*apart, *drift))) < SAME_PX
        return (round(row), round(col)) if same else None

    def scaled(
        self, scale: Fraction, size_px: tuple[int, int], column_scale: Fraction | None = None
    ) -> Grid:
        """The grid with pixels of another size, from the same corner on.

        Args:
            scale: pixels of the new grid per pixel of this one.
            size_px: height and width of the new grid.
            column_scale: columns of the new grid per column of this one, where rows are others.

        Returns:
            the new grid; exact: 3 m / (3/10) is 10 m, to the last bit.
        """
        across = scale if column_scale is None else column_scale
        a, b, c, d, e, f = tuple(self.transform)[:6]
        a, d = (float(Fraction(value) / across) for value in (a, d))
        b, e = (float(Fraction(value) / scale) for value in (b, e))
        control = self.control.scaled(float(scale), float(across)) if self.control else None
        return Grid(self.crs, Affine(a, b, c, d, e, f), *size_px, control)

    def covers_like(self, coarser: Grid) -> bool:
        """Whether another grid, usually of coarser pixels, covers the same ground.

        That is to within a pixel of this grid and half a pixel of the other at every corner: the
        3 m and the 10 m layers of M3M-CR lie up to 2 m apart.

        Args:
            coarser: the other grid.

        Returns:
            True where pixels correspond by their position in the array.
        """
        if self.crs != coarser.crs:
            return False
        if self.crs is None:
            # without a place there is only the array
            return self[1:] == coarser[1:]
        sizes = [math.sqrt(abs(grid.transform.determinant)) for grid in (self, coarser)]
        tolerance = min(sizes[0], sizes[1] / 2)
        return all(
            math.dist(first, second) < tolerance
            for first, second in zip(self.corners, coarser.corners, strict=True)
        )


class Take(NamedTuple):
    """What to read of a layer along one axis, and where it goes.

    Example:
        >>> from fractions import Fraction
        >>> from torchgeo_cloudseg.rasters import nearest
        >>> take = nearest(0, 10, layer_px=90, ratio=Fraction(3, 10), out_ratio=Fraction(1))
        >>> take.source.tolist()
        [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    """

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


def exact_scale(scale: float | Fraction) -> Fraction:
    """Scale as the exact fraction that a decimal number stands for (0.3 is 3/10).

    Args:
        scale: pixels of one grid per pixel of another.

    Returns:
        the fraction.

    Raises:
        ValueError: if it is not positive.

    Example:
        >>> exact_scale(0.3)
        Fraction(3, 10)
    """
    exact = Fraction(scale).limit_denominator(MAX_DENOMINATOR)
    if exact <= 0:
        raise ValueError(f'scale={scale}: expected a positive number of output pixels per pixel.')
    return exact


@lru_cache(maxsize=4096)
def size_at(size_px: int, ratio: Fraction) -> int:
    """Number of pixels of a layer that cover *size_px* pixels of the scene's grid.

    Args:
        size_px: pixels of the scene's grid.
        ratio: pixels of the layer per pixel of the scene's grid (3/10 for 10 m against 3 m).

    Returns:
        The number of pixels, rounded half up.

    Example:
        >>> from fractions import Fraction
        >>> size_at(300, Fraction(3, 10))
        90
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

    Example:
        >>> nearest(0, 10, 90, ratio=Fraction(3, 10), out_ratio=Fraction(1)).source.tolist()
        [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    """
    out_px = size_at(size_px, out_ratio)
    # floor((offset + (i + 1/2) / out_ratio) * ratio), over a common denominator
    step = ratio / out_ratio
    first = offset_px * ratio + step / 2
    denominator = math.lcm(first.denominator, step.denominator)
    scaled = int(first * denominator), int(step * denominator)
    index = (scaled[0] + scaled[1] * np.arange(out_px, dtype=np.int64)) // denominator
    inside = np.flatnonzero((index >= 0) & (index < layer_px))
    if not len(inside):
        return None
    index = index[inside[0] : inside[-1] + 1]
    low, high = int(index[0]), int(index[-1]) + 1
    return Take(int(inside[0]), low, high, (index - low).astype(np.intp))
