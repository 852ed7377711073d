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


def own_regions(table: pd.DataFrame) -> NDArray[np.object_]:
    """What scenes fill of the rectangles around them: some are warped, others clipped.

    Args:
        table: one row per scene, with ``left``, ``top``, ``xres``, ``yres`` and ``outline``.

    Returns:
        outlines in pixels ``(column, row)`` of the scene, None for those that fill it.
    """
    outlines = table['outline'].to_numpy()
    west, south, east, north = shapely.bounds(outlines).reshape(-1, 4).T
    width, height = east - west, north - south
    slack = TOLERANCE_PX * (width * table['yres'] + height * table['xres']).to_numpy()
    partly = shapely.area(outlines) < width * height - slack
    regions = np.full(len(table), None, dtype=object)
    regions[partly] = _in_pixels(table[partly], outlines[partly])
    return regions


def _in_pixels(table: pd.DataFrame, outlines: NDArray[np.object_]) -> NDArray[np.object_]:
    """Outlines in pixels of their scenes, a little wider."""
    regions = np.empty(len(table), dtype=object)
    places = table[['left', 'top', 'xres', 'yres']].to_numpy()
    for row, (place, outline) in enumerate(zip(places, outlines, strict=True)):
        corner, res = place[:2], place[2:] * (1, -1)
        pixels = shapely.transform(outline, lambda xy, corner=corner, res=res: (xy - corner) / res)
        # closes the seam between the parts of a scene across the antimeridian, too
        regions[row] = shapely.buffer(pixels, TOLERANCE_PX, join_style='mitre')
    return regions


def clip_scenes(
    table: pd.DataFrame, crs: pyproj.CRS, roi: BaseGeometry, roi_crs: pyproj.CRS
) -> pd.DataFrame:
    """Scenes that a region touches, and what of them lies within.

    Args:
        table: one row per scene, with ``left``, ``top``, ``xres``, ``yres``, ``outline``,
            ``region`` and ``cut``.
        crs: CRS of the scenes.
        roi: the region.
        roi_crs: its CRS.

    Returns:
        rows of *table*; of those that are not all within *roi*, ``cut`` is True and ``region``
        has what lies within.
    """
    # scenes are projected, not the region: it may be so large that it has no place in a UTM zone
    projected = project(GeoSeries(table['outline'].to_numpy(), crs=crs), roi_crs).to_numpy()
    there = np.isfinite(shapely.bounds(projected)).all(axis=1)
    shapely.prepare(roi)
    touched = there & shapely.intersects(projected, roi)
    table, projected = table[touched].copy(), projected[touched]
    cut = ~shapely.covers(roi, projected)
    parts = GeoSeries(shapely.intersection(projected[cut], roi), crs=roi_crs)
    regions = table['region'].to_numpy().copy()
    regions[cut] = _in_pixels(table[cut], project(parts, crs).to_numpy())
    table['region'], table['cut'] = regions, cut
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
