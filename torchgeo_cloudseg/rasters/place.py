"""Where images lie upon the earth, in whichever way their files say so."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine, GCPTransformer, RPCTransformer

from .control import MANY_POINTS
from .errors import GDAL_ERRORS
from .grid import Grid

#: Points a side by which it is seen whether two images overlap.
SAMPLES = 65

Coordinates = NDArray[np.float64]


def has_place(grid: Grid) -> bool:
    """Whether pixels of a grid can be found upon the earth.

    Args:
        grid: the grid.

    Returns:
        True where a CRS, ground control points in a CRS or polynomials state the place.

    Example:
        >>> from torchgeo_cloudseg.rasters import Grid
        >>> has_place(Grid.north_up(None, (0, 0), pixel=(1, 1), size_px=(64, 64)))
        False
    """
    return bool(grid.crs) or bool(grid.control and grid.control.is_usable)


def place_text(grid: Grid) -> str:
    """Where an image lies, for messages.

    Args:
        grid: a grid that has a place.

    Returns:
        its bounds and their CRS.

    Example:
        >>> from torchgeo_cloudseg.rasters import Grid
        >>> place_text(Grid.north_up('EPSG:32631', (500_000, 100_000), (10, 10), size_px=(64, 64)))
        '(500000, 99360, 500640, 100000) in EPSG:32631'
    """
    if grid.crs:
        bounds = grid.bounds
    else:
        height, width = grid.height, grid.width
        edges = np.array([[0, 0, height, height], [0, width, 0, width]], np.float64)
        xs, ys = coordinates_of(grid, *edges)
        bounds = xs.min(), ys.min(), xs.max(), ys.max()
    crs = crs_of(grid).to_string()[:60]
    return f'({", ".join(f"{value:.6g}" for value in bounds)}) in {crs}'


def unwrapped(grid: Grid) -> Grid:
    """The same place with coordinates that do not jump, and that PROJ does not bring elsewhere.

    Longitudes beyond 180 degrees, or points on both sides of the antimeridian, are counted from
    a meridian in the midst of the image.

    Args:
        grid: a grid that has a place.

    Returns:
        the same pixels, in a CRS with another prime meridian where need be.
    """
    if grid.crs:
        crs = CRS.from_user_input(grid.crs)
        west, _, east, _ = grid.bounds
        if not crs.is_geographic or (west >= -180 and east <= 180):
            return grid
        center = round((west + east) / 2)
        a, b, c, d, e, f = tuple(grid.transform)[:6]
        return grid._replace(
            crs=_centered(crs, center), transform=Affine(a, b, c - center, d, e, f)
        )
    control = grid.control
    if not control or not control.points or not control.crs or not control.crs.is_geographic:
        return grid
    xs = np.array([point.x for point in control.points])
    if np.ptp(xs) > 180:
        xs = np.where(xs < 0, xs + 360, xs)
    if xs.max() <= 180 and xs.min() >= -180:
        return grid
    center = round(float(xs.min() + xs.max()) / 2)
    points = tuple(p._replace(x=float(x)) for p, x in zip(control.points, xs - center, strict=True))
    moved = control.__class__(points, _centered(control.crs, center))
    return grid._replace(control=moved)


def _centered(crs: CRS, meridian: int) -> CRS:
    """A geographic CRS whose longitudes are counted from a meridian."""
    # without the codes, by which it would be taken for the original
    text = re.sub(r',AUTHORITY\["[^"]*","[^"]*"\]', '', crs.to_wkt())
    return CRS.from_wkt(
        re.sub(r'PRIMEM\["[^"]*",[^\],]*', f'PRIMEM["of the image",{meridian}', text)
    )


def crs_of(grid: Grid) -> CRS:
    """CRS in which the place of a grid is stated.

    Args:
        grid: a grid that has a place.

    Returns:
        its own, or that of its points; polynomials give degrees.
    """
    if grid.crs:
        return CRS.from_user_input(grid.crs)
    points = grid.control.crs if grid.control and grid.control.points else None
    return points or CRS.from_epsg(4326)


def overlap(first: Grid, second: Grid) -> bool:
    """Whether two images have ground in common.

    Args:
        first: place of an image.
        second: place of another one.

    Returns:
        False where they lie apart.

    Raises:
        ValueError: if there is no way from the one CRS to the other.

    Example:
        >>> from torchgeo_cloudseg.rasters import Grid
        >>> west = Grid.north_up('EPSG:32631', (500_000, 100_000), pixel=(10, 10), size_px=(64, 64))
        >>> east = Grid.north_up('EPSG:32631', (600_000, 100_000), pixel=(10, 10), size_px=(64, 64))
        >>> overlap(west, east), overlap(west, west)
        (False, True)
    """
    return overlapping_share(first, second) > 0


def overlapping_share(first: Grid, second: Grid) -> float:
    """How much of an image lies in another one.

    Args:
        first: place of an image.
        second: place of another one.

    Returns:
        the share, 0 to 1, of that of which more lies in the other.

    Raises:
        ValueError: if there is no way from the one CRS to the other.

    Example:
        >>> from torchgeo_cloudseg.rasters import Grid
        >>> west = Grid.north_up('EPSG:32631', (500_000, 100_000), pixel=(10, 10), size_px=(64, 64))
        >>> east = Grid.north_up('EPSG:32631', (500_320, 100_000), pixel=(10, 10), size_px=(64, 64))
        >>> 0.4 < overlapping_share(west, east) < 0.6
        True
    """
    first, second = unwrapped(first), unwrapped(second)
    reached = [_share_in(first, second), _share_in(second, first)]
    known = [share for share in reached if share is not None]
    if not known:
        raise ValueError('no coordinates of the one exist in the other')
    return max(known)


def _share_in(source: Grid, target: Grid) -> float | None:
    """Share of an image that lies in another; None where no pixel has coordinates there."""
    ends = crs_of(source), crs_of(target)
    try:
        # a local CRS leads nowhere but to itself
        first, second = (crs.to_wkt() for crs in ends)
        same = ends[0] == ends[1]
        way = None if same else Transformer.from_crs(first, second, always_xy=True)
    except ProjError as error:
        raise ValueError(str(error)) from error
    rows, cols = (
        axis.ravel()
        for axis in np.meshgrid(
            np.linspace(0, source.height, SAMPLES), np.linspace(0, source.width, SAMPLES)
        )
    )
    try:
        xs, ys = coordinates_of(source, rows, cols)
        xs, ys = way.transform(xs, ys) if way else (xs, ys)
        known = np.isfinite(xs) & np.isfinite(ys)
        if not known.any():
            return None
        rows, cols = _pixels(target, xs[known], ys[known])
    except (ProjError, *GDAL_ERRORS) as error:
        raise ValueError(str(error)) from error
    # an edge in common is no overlap
    inside = (rows > 1e-6) & (rows < target.height - 1e-6)
    inside &= (cols > 1e-6) & (cols < target.width - 1e-6)
    return float(inside.sum() / len(known))


def coordinates_of(grid: Grid, rows: Coordinates, cols: Coordinates) -> tuple[Any, Any]:
    """Coordinates of places in an image.

    Args:
        grid: where its pixels lie.
        rows: pixels from its upper edge.
        cols: pixels from its left edge.

    Returns:
        x and y, in :func:`crs_of` the grid.
    """
    if grid.crs:
        a, b, c, d, e, f = tuple(grid.transform)[:6]
        return a * cols + b * rows + c, d * cols + e * rows + f
    with _transformer(grid) as transformer:
        xs, ys = transformer.xy(rows, cols, offset='ul')
    return np.asarray(xs), np.asarray(ys)


def _pixels(grid: Grid, xs: Coordinates, ys: Coordinates) -> tuple[Coordinates, Coordinates]:
    """Places in an image of coordinates."""
    if grid.crs:
        a, b, c, d, e, f = tuple(~grid.transform)[:6]
        return d * xs + e * ys + f, a * xs + b * ys + c
    with _transformer(grid) as transformer:
        rows, cols = transformer.rowcol(xs, ys, op=lambda value: value)
    return np.asarray(rows, np.float64), np.asarray(cols, np.float64)


def _transformer(grid: Grid) -> GCPTransformer | RPCTransformer:
    """How points or polynomials give coordinates."""
    control = grid.control
    if not control:
        raise ValueError('No place is stated.')
    if control.points:
        points = [GroundControlPoint(*point) for point in control.points]
        return GCPTransformer(points, tps=len(points) >= MANY_POINTS)
    return RPCTransformer(control.rpc, rpc_height=control.height)
