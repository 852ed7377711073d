"""Where the pixels of rasters lie, and whether two of them cover the same ground."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from rasterio.io import DatasetReader
from rasterio.transform import Affine


class Grid(NamedTuple):
    """Where the pixels of a raster lie."""

    #: None where the file does not say.
    crs: Any
    transform: Affine
    height: int
    width: int

    @property
    def corners(self) -> list[tuple[float, float]]:
        """The four corners, in units of the CRS."""
        a, b, c, d, e, f = tuple(self.transform)[:6]
        places = ((0, 0), (self.width, 0), (0, self.height), (self.width, self.height))
        return [(a * col + b * row + c, d * col + e * row + f) for col, row in places]

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right and top, in units of the CRS."""
        xs, ys = zip(*self.corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)


def grid_of(raster: DatasetReader) -> Grid:
    """Grid of an open raster.

    Args:
        raster: the raster.

    Returns:
        its grid.
    """
    return Grid(raster.crs or None, raster.transform, raster.height, raster.width)


def coextensive(optical: Grid, sar: Grid) -> bool:
    """Whether two grids cover the same ground.

    That is to within an optical pixel and half a SAR pixel at every corner: the 3 m and the 10 m
    layers of M3M-CR lie up to 2 m apart.

    Args:
        optical: grid of the optical image.
        sar: grid of the SAR image.

    Returns:
        True where pixels correspond by their position in the array.
    """
    if optical.crs != sar.crs:
        return False
    if optical.crs is None:
        # without a place there is only the array
        same = (optical.height, optical.width) == (sar.height, sar.width)
        return same and optical.transform == sar.transform
    sizes = [math.sqrt(abs(grid.transform.determinant)) for grid in (optical, sar)]
    tolerance = min(sizes[0], sizes[1] / 2)
    return all(
        math.dist(first, second) < tolerance
        for first, second in zip(optical.corners, sar.corners, strict=True)
    )
