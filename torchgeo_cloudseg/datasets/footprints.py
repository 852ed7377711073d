"""Outlines of scenes in other coordinate reference systems, across the antimeridian too."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

#: Points along the longest side of an outline when it is projected, which bends its sides.
POINTS_PER_SIDE = 8

#: Sides shorter than this bend by less than a metre, and stay straight.
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
    """
    target = pyproj.CRS.from_user_input(crs)
    if outlines.crs == target or outlines.empty:
        return outlines
    west, south, east, north = shapely.bounds(outlines.to_numpy()).T
    side = max((east - west).max(), (north - south).max())
    straight = STRAIGHT_SIDE_DEGREES if outlines.crs.is_geographic else STRAIGHT_SIDE_M
    dense = outlines.segmentize(max(side / POINTS_PER_SIDE, straight)).to_crs('EPSG:4326')
    degrees = dense.to_numpy().copy()
    west, _, east, _ = shapely.bounds(degrees).T
    for i in np.flatnonzero(east - west >= 180):
        degrees[i] = cut_at_antimeridian(degrees[i])
    return gpd.GeoSeries(degrees, index=outlines.index, crs='EPSG:4326').to_crs(target)


def cut_at_antimeridian(outline: BaseGeometry) -> BaseGeometry:
    """Cut a small outline that lies across the antimeridian in two.

    Args:
        outline: polygon in degrees of longitude and latitude, narrower than 180 degrees.

    Returns:
        the outline, or its parts east and west of the antimeridian.
    """
    west, south, east, north = outline.bounds
    if east - west < 180:
        return outline
    # longitudes from 0 to 360, in which the outline is in one piece
    turned = shapely.transform(outline, lambda xy: np.column_stack([xy[:, 0] % 360, xy[:, 1]]))
    before = shapely.intersection(turned, shapely.box(0, south, 180, north))
    after = shapely.intersection(turned, shapely.box(180, south, 360, north))
    after = shapely.transform(after, lambda xy: xy - (360, 0))
    return shapely.union_all([before, after])
