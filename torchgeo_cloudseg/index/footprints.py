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
    """
    target = pyproj.CRS.from_user_input(crs)
    if outlines.crs == target or outlines.empty:
        return outlines
    west, south, east, north = shapely.bounds(outlines.to_numpy()).T
    # each by itself, so that an outline is projected alike whatever it is projected with
    side = np.maximum(east - west, north - south)
    straight = STRAIGHT_SIDE_DEGREES if outlines.crs.is_geographic else STRAIGHT_SIDE_M
    step = np.maximum(side / POINTS_PER_SIDE, straight)
    long = bool((side > step).any())
    dense = shapely.segmentize(outlines.to_numpy(), step) if long else outlines.to_numpy()
    degrees = _transform(dense, outlines.crs, pyproj.CRS('EPSG:4326'))
    west, _, east, _ = shapely.bounds(degrees).T
    for i in np.flatnonzero(east - west >= 180):
        degrees[i] = cut_at_antimeridian(degrees[i])
    projected = _transform(degrees, pyproj.CRS('EPSG:4326'), target)
    return gpd.GeoSeries(projected, index=outlines.index, crs=target)


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
    """
    projected = np.empty(len(outlines), dtype=object)
    for one in pd.unique(crs):
        rows = crs == one
        projected[rows] = project(gpd.GeoSeries(outlines[rows], crs=one), target).to_numpy()
    return projected


def _transform(
    outlines: NDArray[np.object_], source: pyproj.CRS, target: pyproj.CRS
) -> NDArray[np.object_]:
    """Transform the corners of outlines."""
    if source == target:
        return outlines
    coordinates, owners = shapely.get_coordinates(outlines, return_index=True)
    transformer = pyproj.Transformer.from_crs(source, target, always_xy=True)
    moved = np.column_stack(transformer.transform(coordinates[:, 0], coordinates[:, 1]))
    corners = len(coordinates) // len(outlines)
    alike = (
        (shapely.get_type_id(outlines) == shapely.GeometryType.POLYGON).all()
        and not shapely.get_num_interior_rings(outlines).any()
        and (np.bincount(owners, minlength=len(outlines)) == corners).all()
    )
    if alike:  # five times as fast as putting coordinates into copies one by one
        rings: NDArray[np.object_] = shapely.polygons(moved.reshape(len(outlines), corners, 2))
        return rings
    placed: NDArray[np.object_] = shapely.set_coordinates(outlines.copy(), moved)
    return placed


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
