"""A band divided by a smooth field, such as the calibration of a SAR image."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from .grid import Grid
from .header import header_of
from .name import gdal_name
from .open import reading
from .stack import add_place
from .vrt import add, add_source
from .warp import warped_view


def divided_band(path: str, field: NDArray[np.floating], number: int = 1) -> str:
    """Divide a band by a field that is known at few places.

    Args:
        path: the file.
        field: values (h, w) in the middle of cells that cover the image, between which the
            field is bilinear.
        number: which of its bands, counted from 1.

    Returns:
        the text of a VRT, which everything here takes for a path; 0 stays 0.

    Raises:
        SceneError: if the file cannot be opened.

    Example:
        >>> path = str(next(root.glob('test/S1_*/*/*.tif')))
        >>> import numpy as np
        >>> from torchgeo_cloudseg.rasters import read_window
        >>> half = divided_band(path, np.full((2, 2), 2.0))
        >>> stored, divided = (read_window(one, (0, 1), (0, 1))[0] for one in (path, half))
        >>> bool(np.allclose(divided, stored / 2))
        True
    """
    with reading(path) as raster:
        grid, shape = header_of(raster).grid, raster.shape
        blocks = raster.block_shapes[number - 1]
    root = _root(shape)
    add_place(root, grid)
    band = add(
        root, 'VRTRasterBand', dataType='Float32', band='1', subClass='VRTDerivedRasterBand',
        blockYSize=str(blocks[0]), blockXSize=str(blocks[1]),
    )  # fmt: skip
    add(band, 'PixelFunctionType', 'div')
    add(band, 'SourceTransferType', 'Float32')
    add_source(band, gdal_name(path), str(number), shape)
    # where they lie does not matter, as long as it is the same
    cells, pixels = (
        Grid.from_bounds('EPSG:3857', (0, 0, 1, 1), size) for size in (field.shape, shape)
    )
    smooth = warped_view(_constants(path, field), cells, pixels, 'bilinear', 1)
    add_source(band, smooth, '1', shape)
    return ElementTree.tostring(root, encoding='unicode')


def _root(shape: tuple[int, int]) -> ElementTree.Element:
    size = {'rasterXSize': str(shape[1]), 'rasterYSize': str(shape[0])}
    return ElementTree.Element('VRTDataset', size)


def _constants(path: str, field: NDArray[np.floating]) -> str:
    """The field as a VRT without a file of its own: a pixel of another one, times 0 and plus it."""
    rows, cols = field.shape
    root = _root((rows, cols))
    band = add(root, 'VRTRasterBand', dataType='Float32', band='1')
    for (row, col), value in np.ndenumerate(field):
        add_source(
            band, gdal_name(path), '1', (1, 1), ScaleRatio='0', ScaleOffset=repr(float(value))
        )
        band[-1].find('DstRect').attrib.update(xOff=str(col), yOff=str(row))  # type: ignore[union-attr]
    return ElementTree.tostring(root, encoding='unicode')
