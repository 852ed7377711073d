"""Outlines of the data of a raster, in degrees."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from pyproj import Transformer
from rasterio.enums import Resampling as Rule
from rasterio.features import shapes
from rasterio.transform import Affine
from shapely.affinity import translate
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from .errors import SceneError
from .header import header_of
from .open import reading
from .place import coordinates_of, crs_of, has_place, unwrapped

#: Longer side of the mask of which the outline is taken, in pixels.
OUTLINE_PX = 512

#: Points on a side of the image between which the outline is straight.
STEPS = 16


def footprint(path: str) -> dict[str, Any]:
    """Outline the data of a raster.

    Args:
        path: the file.

    Returns:
        a geometry of GeoJSON, longitude and latitude on WGS 84, cut at the antimeridian.

    Raises:
        SceneError: if it cannot be opened, has no place, or no data.

    Example:
        >>> path = str(next(root.glob('test/planet_cloudy_*/*/*.tif')))
        >>> footprint(path)['type']
        'Polygon'
    """
    with reading(path) as raster:
        grid = header_of(raster).grid
        if not has_place(grid):
            raise SceneError(path, 'no place upon the earth', 'a georeference')
        shrink = max(1.0, max(raster.shape) / OUTLINE_PX)
        size = max(1, round(raster.height / shrink)), max(1, round(raster.width / shrink))
        mask = raster.dataset_mask(out_shape=size, resampling=Rule.nearest) > 0
    pixels = Affine.scale(grid.width / size[1], grid.height / size[0])
    outlines = [shape(s) for s, _ in shapes(mask.astype(np.uint8), mask, transform=pixels)]
    if not outlines:
        raise SceneError(path, 'no data', 'pixels with data')
    outline = shapely.union_all(outlines).simplify(1.5 * shrink)
    outline = outline.segmentize(max(grid.height, grid.width) / STEPS)
    place = unwrapped(grid)
    way = Transformer.from_crs(crs_of(place).to_wkt(), 'OGC:CRS84', always_xy=True)

    def to_degrees(points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        xs, ys = way.transform(*coordinates_of(place, points[:, 1], points[:, 0]))
        return np.stack([xs, ys], axis=1)

    geometry = _cut(shapely.transform(outline, to_degrees))
    found: dict[str, Any] = mapping(shapely.set_precision(shapely.make_valid(geometry), 1e-7))
    return found


def _cut(outline: BaseGeometry) -> BaseGeometry:
    """An outline whose longitudes jump, in parts on either side of the antimeridian."""
    west, _, east, _ = outline.bounds
    if east - west <= 180:
        return outline

    def onward(points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        xs = points[:, 0]
        return np.stack([np.where(xs < 0, xs + 360, xs), points[:, 1]], axis=1)

    whole = shapely.make_valid(shapely.transform(outline, onward))
    parts = [shapely.intersection(whole, shapely.box(w, -90, w + 180, 90)) for w in (0, 180)]
    return shapely.union_all([parts[0], translate(parts[1], -360)])
