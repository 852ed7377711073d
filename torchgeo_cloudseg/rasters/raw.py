"""Images in raw memory maps: files of numbers without a header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from .errors import SceneError
from .name import gdal_name
from .stack import GDAL_TYPES


def count_images(
    files: Mapping[str, str], size_px: tuple[int, int]
) -> tuple[int, list[SceneError]]:
    """Number of images in raw memory maps, which should all have the same.

    Args:
        files: data type (numpy name) by file.
        size_px: height and width of each image.

    Returns:
        images that all files have, and files that are missing, cut off or longer than others.

    Example:
        >>> path = folder / 'B1.dat'
        >>> path.write_bytes(bytes(64))
        64
        >>> count_images({str(path): 'int16'}, size_px=(4, 4))
        (2, [])
    """
    counts, problems = {}, []
    for file, dtype in files.items():
        if not Path(file).is_file():
            problems.append(SceneError(file, 'no such file', 'one: there are others'))
            continue
        size = Path(file).stat().st_size
        counts[file], rest = divmod(size, np.dtype(dtype).itemsize * size_px[0] * size_px[1])
        if rest:
            expected = f'images of {size_px[0]} x {size_px[1]} numbers of {dtype}'
            problems.append(SceneError(file, f'{size} bytes', expected))
    least = min(counts.values(), default=0)
    problems += [
        SceneError(file, f'{count} images', f'{least}, as in the shortest file')
        for file, count in counts.items()
        if count != least
    ]
    return least, problems


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
