"""Bringing pixels from one grid to another."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import rasterio.warp
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.enums import Resampling as Rule
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT

from .grid import Bounds, Grid
from .window import Pixels, Span

Resampling = Literal['nearest', 'bilinear', 'cubic', 'average']

#: Pixels read around a window that is warped, for the neighbors of its outermost pixels.
MARGIN_PX = 2


def transform_bounds(source: CRS | str, target: CRS | str, bounds: Bounds) -> Bounds:
    """Bounds in another CRS, of the outline rather than of the corners.

    Args:
        source: CRS of the bounds.
        target: CRS that is wanted.
        bounds: left, bottom, right and top.

    Returns:
        left, bottom, right and top in units of *target*.
    """
    moved: Bounds = rasterio.warp.transform_bounds(source, target, *bounds)
    return moved


def window_under(source: Grid, target: Grid) -> tuple[Span, Span]:
    """Pixels of a north-up grid that are needed to fill another one by resampling.

    Args:
        source: grid of the file.
        target: grid that is wanted.

    Returns:
        rows and columns, with a margin, within the file; empty where the two lie apart.
    """
    if source.crs is None or target.crs is None:
        raise ValueError('Pixels without a coordinate reference system cannot be warped.')
    left, bottom, right, top = transform_bounds(target.crs, source.crs, target.bounds)
    place = source.transform
    rows = (place.f - top) / -place.e, (place.f - bottom) / -place.e
    cols = (left - place.c) / place.a, (right - place.c) / place.a
    return _around(rows, source.height), _around(cols, source.width)


def _around(ends: tuple[float, float], size_px: int) -> Span:
    """Whole pixels with a margin, as far as there are any."""
    low, high = math.floor(ends[0]) - MARGIN_PX, math.ceil(ends[1]) + MARGIN_PX
    return max(0, low), min(size_px, high)


def warp(
    values: Pixels, source: Grid, target: Grid, resampling: Resampling
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Resample pixels to another grid.

    Args:
        values: pixels (C, H, W).
        source: their grid.
        target: the grid that is wanted.
        resampling: how.

    Returns:
        pixels (C, h, w) of the same type, 0 outside of the source, and where there are none (h, w).
    """
    shape = target.height, target.width
    warped = np.zeros((len(values), *shape), values.dtype)
    inside = np.zeros(shape, np.uint8)
    grids: dict[str, Any] = {
        'src_crs': source.crs,
        'src_transform': source.transform,
        'dst_crs': target.crs,
        'dst_transform': target.transform,
    }
    rasterio.warp.reproject(values, warped, resampling=Rule[resampling], **grids)
    ones = np.ones(values.shape[1:], np.uint8)
    rasterio.warp.reproject(ones, inside, resampling=Rule.nearest, **grids)
    return warped, inside == 0


def warped_view(raster: DatasetReader, grid: Grid, resampling: Resampling) -> WarpedVRT:
    """An open raster on another grid, resampled as it is read.

    Args:
        raster: the raster.
        grid: the grid that is wanted.
        resampling: how.

    Returns:
        a raster, to be closed, whose alpha band tells what the file covers.
    """
    return WarpedVRT(
        raster,
        crs=grid.crs,
        transform=grid.transform,
        height=grid.height,
        width=grid.width,
        resampling=Rule[resampling],
        # rasterio makes no mask of it, but it tells what the image covers
        add_alpha=ColorInterp.alpha not in raster.colorinterp,
    )
