"""One raster of several that lie beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from .errors import SceneError
from .grid import Grid
from .header import Header, read_header
from .name import gdal_name
from .stack import GDAL_TYPES


def mosaic(paths: Sequence[str]) -> str:
    """Put rasters that lie beside each other together as one.

    The result is the text of a VRT, which everything here takes for a path, as that of
    :func:`~.stack.band_stack`. Where rasters overlap, the later one is seen.

    Args:
        paths: the rasters, in one CRS, with the same number of bands.

    Returns:
        the text of the VRT, with the finest pixels among them; the path where there is only one.

    Raises:
        SceneError: if a file cannot be opened, or is in another CRS or of other bands than the
            first one.
        ValueError: if there are no rasters.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from torchgeo_cloudseg.rasters import Grid, read_header, write_geotiff
        >>> paths = [str(folder / name) for name in ('west.tif', 'east.tif')]
        >>> for left, path in zip((500_000, 500_640), paths):
        ...     grid = Grid.north_up('EPSG:32631', (left, 100_000), (10, 10), size_px=(64, 64))
        ...     write_geotiff(Path(path), np.zeros((1, 64, 64), np.uint8), grid)
        >>> read_header(mosaic(paths)).grid.width
        128
    """
    if not paths:
        raise ValueError('A mosaic needs at least one raster.')
    if len(paths) == 1:
        return paths[0]
    headers = [read_header(path) for path in paths]
    first = headers[0]
    for path, header in zip(paths, headers, strict=True):
        if (header.crs, header.count) != (first.crs, first.count):
            found, expected = (f'{h.count} band(s) in {h.crs}' for h in (header, first))
            raise SceneError(path, found, f'{expected}, as {paths[0]}')
    grid = _union(headers)
    size = {'rasterXSize': str(grid.width), 'rasterYSize': str(grid.height)}
    root = ElementTree.Element('VRTDataset', size)
    _add(root, 'SRS', first.crs, dataAxisToSRSAxisMapping='2,1' if _is_degrees(first) else '1,2')
    _add(root, 'GeoTransform', ', '.join(map(repr, grid.transform.to_gdal())))
    dtype = GDAL_TYPES[str(np.result_type(*(header.dtype for header in headers)))]
    for band in range(1, first.count + 1):
        element = _add(root, 'VRTRasterBand', dataType=dtype, band=str(band))
        if first.nodata is not None:
            _add(element, 'NoDataValue', repr(first.nodata))
        for path, header in zip(paths, headers, strict=True):
            _add_source(element, path, header, band, grid)
    return ElementTree.tostring(root, encoding='unicode')


def _is_degrees(header: Header) -> bool:
    return bool(getattr(header.grid.crs, 'is_geographic', False))


def _union(headers: Sequence[Header]) -> Grid:
    """The grid of the finest pixels that covers all rasters."""
    lows = np.min([header.grid.bounds[:2] for header in headers], axis=0)
    highs = np.max([header.grid.bounds[2:] for header in headers], axis=0)
    place = min((header.grid.transform for header in headers), key=lambda place: place.a)
    width, height = np.round((highs - lows) / (place.a, -place.e)).astype(int).tolist()
    corner = float(lows[0]), float(highs[1])
    return Grid.north_up(headers[0].grid.crs, corner, (place.a, -place.e), (height, width))


def _add_source(
    element: ElementTree.Element, path: str, header: Header, band: int, grid: Grid
) -> None:
    """A raster, where it lies in the whole."""
    source = _add(element, 'ComplexSource' if header.nodata is not None else 'SimpleSource')
    _add(source, 'SourceFilename', gdal_name(path), relativeToVRT='0')
    _add(source, 'SourceBand', str(band))
    own = {'xSize': str(header.width), 'ySize': str(header.height)}
    _add(source, 'SrcRect', xOff='0', yOff='0', **own)
    left, bottom, right, top = header.grid.bounds
    place = grid.transform
    spans = {
        'xOff': (left - place.c) / place.a,
        'yOff': (top - place.f) / place.e,
        'xSize': (right - left) / place.a,
        'ySize': (bottom - top) / place.e,
    }
    _add(source, 'DstRect', **{name: repr(value) for name, value in spans.items()})
    if header.nodata is not None:
        _add(source, 'NODATA', repr(header.nodata))


def _add(
    parent: ElementTree.Element, tag: str, text: str | None = None, **attributes: str
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag, attributes)
    element.text = text
    return element
