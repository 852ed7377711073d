"""Outlines of scenes in other coordinate reference systems, across the antimeridian too."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

#: Points along the longest side of an outline when it is projected, which bends its sides.
POINTS_PER_SIDE = 8

#: Sides shorter than this bend by less than a meter, and stay straight.
STRAIGHT_SIDE_M = 5000.0

#: The same in the units of a geographic CRS.
STRAIGHT_SIDE_DEGREES = 0.05


def project(outlines: gpd.GeoSeries, crs: pyproj.CRS | str) -> gpd.GeoSeries:
    """Project outlines of scenes.

    Args:
        outlines: one outline per scene, each far smaller than the globe.
        crs: the CRS wanted.

    Returns:
        the outlines, unchanged where *crs* is their own; those across the antimeridian in two
        parts.

    Example:
        >>> from geopandas import GeoSeries
        >>> from shapely import box
        >>> outlines = GeoSeries([box(500_000, 0, 501_000, 1_000)], crs='EPSG:32631')
        >>> round(float(project(outlines, 'EPSG:4326').total_bounds[0]), 3)
        3.0
    """
    target = pyproj.CRS.from_user_input(crs)
    if outlines.crs == target or outlines.empty:
        return outlines
    # each by itself, so that an outline is projected alike whatever it is projected with
    west, south, east, north = shapely.bounds(outlines.to_numpy()).T
    side = np.maximum(east - west, north - south)
    straight = STRAIGHT_SIDE_DEGREES if outlines.crs.is_geographic else STRAIGHT_SIDE_M
    step = np.maximum(side / POINTS_PER_SIDE, straight)
    degrees = outlines.segmentize(step).to_crs('EPSG:4326')
    west, _, east, _ = shapely.bounds(degrees.to_numpy()).T
    for i in np.flatnonzero(east - west >= 180):
        degrees.iloc[i] = cut_at_antimeridian(degrees.iloc[i])
    return degrees.to_crs(target)


def project_each(
    outlines: NDArray[np.object_], crs: NDArray[np.object_], target: pyproj.CRS | str
) -> NDArray[np.object_]:
    """Project outlines, each of which is in a CRS of its own.

    Args:
        outlines: one outline per scene.
        crs: CRS of each outline, as text.
        target: the CRS wanted.

    Returns:
        the outlines in that CRS.

    Example:
        >>> import numpy as np
        >>> import shapely
        >>> outlines = np.array([shapely.box(500_000, 0, 501_000, 1_000)], dtype=object)
        >>> crs = np.array(['EPSG:32631'], dtype=object)
        >>> round(project_each(outlines, crs, 'EPSG:4326')[0].bounds[0], 3)
        3.0
    """
    projected = np.empty(len(outlines), dtype=object)
    for one in pd.unique(crs):
        rows = crs == one
        projected[rows] = project(gpd.GeoSeries(outlines[rows], crs=one), target).to_numpy()
    return projected


def cut_at_antimeridian(outline: BaseGeometry) -> BaseGeometry:
    """Cut a small outline that lies across the antimeridian in two.

    Args:
        outline: polygon in degrees of longitude and latitude, narrower than 180 degrees, whose
            corners lie on both sides.

    Returns:
        its parts east and west of the antimeridian.
    """
    _, south, _, north = outline.bounds
    # longitudes from 0 to 360, in which the outline is in one piece
    turned = shapely.transform(outline, lambda xy: np.column_stack([xy[:, 0] % 360, xy[:, 1]]))
    before = shapely.intersection(turned, shapely.box(0, south, 180, north))
    after = shapely.intersection(turned, shapely.box(180, south, 360, north))
    after = shapely.transform(after, lambda xy: xy - (360, 0))
    return shapely.union_all([before, after])
