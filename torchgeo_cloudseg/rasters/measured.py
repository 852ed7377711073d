"""Measurements of a file: its bands, with everything that is missing told apart in one way."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
from rasterio.io import DatasetReader

from .name import gdal_name
from .vrt import Element, add, add_mask, add_source

#: Value of pixels without data in a view of measurements: none that is measured.
MISSING = float(np.finfo(np.float32).min)


def measured_view(
    path: str,
    raster: DatasetReader,
    bands: Sequence[int],
    nodata: float | None = None,
) -> str:
    """The text of a VRT with bands of a file as float32, and :data:`MISSING` where it has no data.

    It says nothing of the place.

    A band has no data where its nodata value stands, where its mask (in the file, beside it, or
    per band) says so, and where alpha is 0 (see :func:`~.vrt.add_mask`).

    Args:
        path: the file.
        raster: the same, open.
        bands: the bands that are looked at, counted from 1.
        nodata: stored value of pixels without data in bands that declare none.

    Returns:
        the text, which GDAL opens like a path.
    """
    root = _root(raster)
    for position, band in enumerate(bands, start=1):
        declared = raster.nodatavals[band - 1]
        is_missing = nodata if declared is None else declared
        facts = {} if is_missing is None else {'NODATA': repr(float(is_missing))}
        shape = raster.block_shapes[band - 1]
        # GDAL heeds either a mask or nodata: one is within the other
        inner = _root(raster)
        values = _add_band(inner, 1, shape)
        add_source(values, gdal_name(path), str(band), raster.shape, None, **facts)
        element = _add_band(root, position, shape)
        if add_mask(values, path, raster, band, bands):
            text = ElementTree.tostring(inner, encoding='unicode')
            add_source(element, text, '1', raster.shape, UseMaskBand='true')
        else:
            element.append(values[-1])
    return ElementTree.tostring(root, encoding='unicode')


def _root(raster: DatasetReader) -> Element:
    size = {'rasterXSize': str(raster.width), 'rasterYSize': str(raster.height)}
    return ElementTree.Element('VRTDataset', size)


def _add_band(root: Element, position: int, block_shape: tuple[int, int]) -> Element:
    size = {'blockXSize': str(block_shape[1]), 'blockYSize': str(block_shape[0])}
    band = add(root, 'VRTRasterBand', dataType='Float32', band=str(position), **size)
    add(band, 'NoDataValue', repr(MISSING))
    return band
