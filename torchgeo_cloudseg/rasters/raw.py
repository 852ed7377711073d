"""Images in raw memory maps: files of numbers without a header."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from .name import gdal_name
from .stack import GDAL_TYPES


def raw_image(files: Sequence[str], number: int, dtype: str, size_px: tuple[int, int]) -> str:
    """One image of raw memory maps of many.

    The image is the text of a VRT, which everything here takes for a path, as that of
    :func:`~.stack.band_stack`. No file is opened.

    Args:
        files: a file for each band, with all images one after another, row by row, in
            little-endian numbers.
        number: which of the images, counted from 0.
        dtype: their data type (numpy name).
        size_px: height and width of each.

    Returns:
        the text of the VRT, without a place.

    Example:
        >>> import numpy as np
        >>> from torchgeo_cloudseg.rasters import read_window
        >>> path = folder / 'B1.dat'
        >>> np.arange(2 * 4 * 4, dtype=np.int16).tofile(path)
        >>> second = raw_image([str(path)], number=1, dtype='int16', size_px=(4, 4))
        >>> int(read_window(second, (0, 1), (0, 1))[0, 0, 0])
        16
    """
    height, width = size_px
    item = np.dtype(dtype).itemsize
    root = ElementTree.Element('VRTDataset', rasterXSize=str(width), rasterYSize=str(height))
    for band, file in enumerate(files, start=1):
        facts = {'dataType': GDAL_TYPES[dtype], 'band': str(band), 'subClass': 'VRTRawRasterBand'}
        element = ElementTree.SubElement(root, 'VRTRasterBand', facts)
        source = ElementTree.SubElement(element, 'SourceFilename', relativeToVRT='0')
        source.text = gdal_name(file)
        layout = {
            'ImageOffset': number * height * width * item,
            'PixelOffset': item,
            'LineOffset': width * item,
            'ByteOrder': 'LSB',
        }
        for tag, value in layout.items():
            ElementTree.SubElement(element, tag).text = str(value)
    return ElementTree.tostring(root, encoding='unicode')
