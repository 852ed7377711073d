"""Places for scenes of which no file says where it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..rasters import Grid

#: CRS of scenes that nobody knows the place of: one of equal area, in meters.
NOWHERE = 'EPSG:6933'

#: Scenes without a place are laid out in at least so many columns, with a gap between them.
NOMINAL_COLUMNS = 64
NOMINAL_GAP_PX = 64

#: Distance between parts of a data set whose scenes have no place.
NOMINAL_PART_M = 4_000_000.0


@dataclass(frozen=True)
class NominalPlaces:
    """Places for scenes of which no file says where it lies.

    They are laid out side by side, in the order of the data set, in a CRS of equal area around
    the point 0, 0: no two of them touch, so that samplers, splits and joins work as with others.

    Example:
        >>> from fractions import Fraction
        >>> NominalPlaces(pixel_m=10.0).grid((512, 512), Fraction(1)).crs
        'EPSG:6933'
    """

    #: Side of a pixel of the scene's grid in meters.
    pixel_m: float
    #: Position of the part of the data set: scenes of several parts lie apart, too.
    part: int = 0

    def grid(self, size_px: tuple[int, int], ratio: Fraction) -> Grid:
        """Grid of a file of a scene before the scene is laid out.

        Args:
            size_px: its height and width.
            ratio: its pixels per pixel of the scene's grid.

        Returns:
            the grid, with its corner at 0, 0.
        """
        pixel = float(Fraction(self.pixel_m) / ratio)
        return Grid.north_up(NOWHERE, (0.0, 0.0), (pixel, pixel), size_px)

    def lay_out(self, table: pd.DataFrame, rows: NDArray[np.bool_]) -> None:
        """Give every scene without a place one of its own.

        Args:
            table: the scenes; its columns ``left`` and ``top`` are changed.
            rows: the scenes that have no place.
        """
        count = int(rows.sum())
        if not count:
            return
        columns = max(NOMINAL_COLUMNS, math.isqrt(count) + 1)
        down, across = np.divmod(np.arange(count), columns)
        pitch_px = table.loc[rows, ['height', 'width']].max() + NOMINAL_GAP_PX
        table.loc[rows, 'left'] = (
            self.part * NOMINAL_PART_M + across * pitch_px['width'] * self.pixel_m
        )
        table.loc[rows, 'top'] = -down * pitch_px['height'] * self.pixel_m
