"""What a region of interest leaves of scenes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyproj
import shapely
from geopandas import GeoSeries
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from ..index import project

#: How far a patch may stand out of a region, for rounding. With less than half a pixel, patches of
#: one scene in disjoint regions have no pixel in common.
TOLERANCE_PX = 0.1


def clip_scenes(
    table: pd.DataFrame, outlines: GeoSeries, roi: BaseGeometry, roi_crs: pyproj.CRS
) -> pd.DataFrame:
    """Scenes that a region touches, and what of them lies within.

    Args:
        table: one row per scene, with ``left``, ``top``, ``xres`` and ``yres``.
        outlines: outlines of the scenes.
        roi: the region.
        roi_crs: its CRS.

    Returns:
        rows of *table*; a column ``region`` has the part within *roi* in pixels ``(column, row)``
        of the scene, or None where that is all of it.
    """
    # scenes are projected, not the region: it may be so large that it has no place in a UTM zone
    projected = project(outlines, roi_crs).to_numpy()
    there = np.isfinite(shapely.bounds(projected)).all(axis=1)
    shapely.prepare(roi)
    touched = there & shapely.intersects(projected, roi)
    table, projected = table[touched].copy(), projected[touched]
    cut = ~shapely.covers(roi, projected)
    parts = GeoSeries(shapely.intersection(projected[cut], roi), crs=roi_crs)
    regions = np.full(len(table), None, dtype=object)
    for row, part in zip(np.flatnonzero(cut), project(parts, outlines.crs), strict=True):
        scene = table.iloc[row]
        corner, res = (scene['left'], scene['top']), (scene['xres'], -scene['yres'])
        pixels = shapely.transform(part, lambda xy, corner=corner, res=res: (xy - corner) / res)
        # closes the seam between the parts of a scene across the antimeridian, too
        regions[row] = shapely.buffer(pixels, TOLERANCE_PX, join_style='mitre')
    table['region'] = regions
    return table


def corner_runs(region: BaseGeometry, size_px: tuple[int, int], step_px: int) -> NDArray[np.int64]:
    """Upper left corners of all patches that lie within a region.

    Args:
        region: polygon or polygons in pixels ``(column, row)``.
        size_px: height and width of the patches.
        step_px: corners lie on multiples of this many pixels.

    Returns:
        int64 array of shape (N, 3): row, first column, and number of corners from there on, a step
        apart.
    """
    height, width = size_px
    # a patch leaves the region where it crosses an edge: the corners of patches that do lie in the
    # hull of the edge, moved by all of a patch
    reach = np.array([(0, 0), (-width, 0), (-width, -height), (0, -height)], float)
    rings = [shapely.get_coordinates(r) for r in shapely.get_rings(shapely.get_parts(region))]
    edges = np.concatenate([np.stack([ring[:-1], ring[1:]], axis=1) for ring in rings])
    moved = (edges[:, :, None] + reach).reshape(-1, 8, 2)
    crossing = shapely.union_all(shapely.convex_hull(shapely.multipoints(moved)))
    legal = shapely.difference(region, crossing)
    left, top, right, bottom = region.bounds
    rows = np.arange(np.ceil(top / step_px), np.floor(bottom / step_px) + 1) * step_px
    lines = [shapely.LineString([(left - 1, row), (right + 1, row)]) for row in rows]
    pieces, line = shapely.get_parts(shapely.intersection(legal, lines), return_index=True)
    west, _, east, _ = shapely.bounds(pieces).reshape(-1, 4).T
    first, last = np.ceil(west / step_px), np.floor(east / step_px)
    runs = np.stack([rows[line], first * step_px, last - first + 1], axis=1)
    return runs[runs[:, 2] > 0].astype(np.int64)
