"""Bringing pixels from one grid to another."""

from __future__ import annotations

import math
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import rasterio.warp
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling as Rule

from .control import MANY_POINTS
from .grid import Bounds, Grid
from .measured import MISSING
from .place import crs_of, unwrapped
from .vrt import Element, add, add_points, add_polynomials
from .window import Pixels, Span

Resampling = Literal['nearest', 'bilinear', 'cubic', 'average']

#: Resamplings as GDAL writes them.
ALGORITHMS = {
    'nearest': 'NearestNeighbour',
    'bilinear': 'Bilinear',
    'cubic': 'Cubic',
    'average': 'Average',
}

#: How far a pixel may come from elsewhere, so that not every single one has to be transformed.
MAX_ERROR_PX = 0.125

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

    Example:
        >>> bounds = transform_bounds('EPSG:32631', 'EPSG:4326', (500_000, 0, 501_000, 1_000))
        >>> round(bounds[0], 3)
        3.0
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

    Example:
        >>> from torchgeo_cloudseg.rasters import Grid
        >>> source = Grid.north_up('EPSG:32631', (500_000, 100_000), (10, 10), size_px=(99, 99))
        >>> window_under(source, source.part((40, 50), (0, 10)))
        ((38, 52), (0, 12))
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
    values: Pixels,
    source: Grid,
    target: Grid,
    resampling: Resampling,
    nodata: float | None = None,
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Resample pixels to another grid.

    Args:
        values: pixels (C, H, W).
        source: their grid.
        target: the grid that is wanted.
        resampling: how.
        nodata: value that stands for no data where all bands have it; it is not mixed with others.

    Returns:
        pixels (C, h, w) of the same type, *nodata* or 0 outside of the source, and True where
        that is (h, w).

    Example:
        >>> import numpy as np
        >>> from torchgeo_cloudseg.rasters import Grid
        >>> source = Grid.north_up('EPSG:32631', (500_000, 100_000), pixel=(20, 20), size_px=(2, 2))
        >>> target = Grid.north_up('EPSG:32631', (500_000, 100_000), pixel=(10, 10), size_px=(4, 4))
        >>> stored = np.array([[[1, 2], [3, 4]]], np.uint8)
        >>> values, outside = warp(stored, source, target, 'nearest')
        >>> values[0, 0].tolist(), bool(outside.any())
        ([1, 1, 2, 2], False)
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
    missing: dict[str, Any] = {}
    if nodata is not None:
        missing = {'src_nodata': nodata, 'dst_nodata': nodata, 'UNIFIED_SRC_NODATA': 'YES'}
    rasterio.warp.reproject(values, warped, resampling=Rule[resampling], **grids, **missing)
    ones = np.ones(values.shape[1:], np.uint8)
    rasterio.warp.reproject(ones, inside, resampling=Rule.nearest, **grids)
    return warped, inside == 0


def warped_view(view: str, source: Grid, target: Grid, resampling: Resampling, count: int) -> str:
    """The text of a VRT that brings a view of measurements to another grid as it is read.

    Either grid may be stated by points or polynomials.

    Args:
        view: what :func:`~.measured.measured_view` gave.
        source: where its pixels lie.
        target: the grid that is wanted.
        resampling: how.
        count: number of bands.

    Returns:
        the text, which GDAL opens like a path; :data:`~.measured.MISSING` where there is nothing.
    """
    source, target = unwrapped(source), unwrapped(target)
    size = {'rasterXSize': str(target.width), 'rasterYSize': str(target.height)}
    root = ElementTree.Element('VRTDataset', size, subClass='VRTWarpedDataset')
    for number in range(1, count + 1):
        band = add(
            root, 'VRTRasterBand', dataType='Float32', band=str(number),
            subClass='VRTWarpedRasterBand',
        )  # fmt: skip
        add(band, 'NoDataValue', repr(MISSING))
    options = add(root, 'GDALWarpOptions')
    add(options, 'ResampleAlg', ALGORITHMS[resampling])
    add(options, 'WorkingDataType', 'Float32')
    # a pixel may be missing in one band, and be there in another
    for name, value in {'INIT_DEST': 'NO_DATA', 'UNIFIED_SRC_NODATA': 'NO'}.items():
        add(options, 'Option', value, name=name)
    add(options, 'SourceDataset', view, relativeToVRT='0')
    approximate = add(add(options, 'Transformer'), 'ApproxTransformer')
    add(approximate, 'MaxError', str(MAX_ERROR_PX))
    way = add(add(approximate, 'BaseTransformer'), 'GenImgProjTransformer')
    _add_side(way, 'Src', source)
    _add_side(way, 'Dst', target)
    ends = {'SourceSRS': crs_of(source), 'TargetSRS': crs_of(target)}
    if ends['SourceSRS'] != ends['TargetSRS']:
        between = add(add(way, 'ReprojectTransformer'), 'ReprojectionTransformer')
        for tag, crs in ends.items():
            add(between, tag, crs.to_wkt())
    bands = add(options, 'BandList')
    for number in range(1, count + 1):
        band = add(bands, 'BandMapping', src=str(number), dst=str(number))
        for tag in ('SrcNoDataReal', 'DstNoDataReal'):
            add(band, tag, repr(MISSING))
    return ElementTree.tostring(root, encoding='unicode')


def _add_side(way: Element, side: str, grid: Grid) -> None:
    """How pixels of one image become coordinates."""
    control = grid.control
    if grid.crs or not control:
        for name, transform in (('', grid.transform), ('Inv', ~grid.transform)):
            numbers = ','.join(map(repr, transform.to_gdal()))
            add(way, f'{side}{name}GeoTransform', numbers)
        return
    kind = 'TPS' if len(control.points) >= MANY_POINTS else 'GCP' if control.points else 'RPC'
    element = add(add(way, f'{side}{kind}Transformer'), f'{kind}Transformer')
    add(element, 'Reversed', '0')
    if control.points:
        # of the highest order that they allow for
        add(element, 'Order', '0')
        add_points(element, control)
        return
    add(element, 'HeightOffset', repr(control.height))
    add_polynomials(element, control)
