"""Reading windows of rasters: pixels as they are stored, and where there is data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from .array import map_array
from .errors import SceneError
from .open import PIXELS_ONLY, POOL, reading

Pixels = NDArray[Any]

#: First row or column, and the one after the last.
Span = tuple[int, int]

#: Rows and columns read at once where all pixels are looked at, and those in the middle of a raster
#: that mostly tell that it has data.
BLOCK_PX = 2048
GLANCE_PX = 32


def blocks(height: int, width: int, size: int) -> Iterator[tuple[Span, Span]]:
    """Square windows that cover an image.

    Args:
        height: rows of the image.
        width: columns of the image.
        size: rows and columns of a window; less at the right and lower edge.

    Yields:
        rows and columns of windows from left to right and from top to bottom.
    """
    for top in range(0, height, size):
        for left in range(0, width, size):
            yield (top, min(top + size, height)), (left, min(left + size, width))


def read_window(
    path: str, rows: Span, cols: Span, cache: bool = True, bands: Sequence[int] = ()
) -> Pixels:
    """Read a window.

    Args:
        path: a GeoTIFF, or a ``.npy`` file with one (H, W) array.
        rows: first row and the one after the last.
        cols: first column and the one after the last.
        cache: keep the file open for the next read.
        bands: numbers of the bands, from 1 (defaults to all).

    Returns:
        array of shape (C, H, W) in the stored data type, not necessarily contiguous.

    Raises:
        SceneError: if the file is missing, broken, a pickle, or smaller than it was.

    Example:
        >>> path = str(next(root.glob('test/planet_cloudy_*/*/*.tif')))
        >>> read_window(path, rows=(0, 160), cols=(140, 300)).shape
        (4, 160, 160)
    """
    if path.endswith('.npy'):
        data = map_array(path)[None, rows[0] : rows[1], cols[0] : cols[1]].copy()
    else:
        with POOL.open(path) if cache else reading(path, PIXELS_ONLY) as raster:
            data = raster.read(list(bands) or None, window=(rows, cols))
    if data.shape[1:] != (rows[1] - rows[0], cols[1] - cols[0]):
        expected = f'rows to {rows[1]} and columns to {cols[1]}, as when it was indexed'
        raise SceneError(path, 'fewer pixels', expected)
    return data


def only_value(read: Callable[[Span, Span], Pixels], height: int, width: int) -> float | None:
    """The value that all pixels of a raster have; of most rasters, few pixels are read.

    Args:
        read: reads rows and columns.
        height: rows of the raster.
        width: its columns.

    Returns:
        the value that all pixels have but those that are NaN; NaN where all are; None where there
        are several values.

    Example:
        >>> import numpy as np
        >>> pixels = np.zeros((1, 4, 4), np.uint16)
        >>> only_value(lambda rows, cols: pixels[:, slice(*rows), slice(*cols)], 4, 4)
        0.0
    """
    rows, cols = (_middle(size) for size in (height, width))
    only = float('nan')
    for window in chain([(rows, cols)], blocks(height, width, BLOCK_PX)):
        values = np.real(read(*window))
        known = values[~np.isnan(values)]
        if known.size and math.isnan(only):
            only = float(known[0])
        if (known != only).any():
            return None
    return only


def _middle(size_px: int) -> Span:
    start = max(size_px - GLANCE_PX, 0) // 2
    return start, min(start + GLANCE_PX, size_px)


def data_mask(
    raster: DatasetReader, bands: list[int], window: tuple[Span, Span]
) -> NDArray[np.bool_]:
    """Where a file says that there is data.

    The fourth band of 8-bit files is often marked as alpha though it is a measurement. A band that
    somebody looks at is no mask.

    Args:
        raster: the open raster.
        bands: the bands that are looked at, counted from 1.
        window: rows and columns.

    Returns:
        (H, W), True where any of the bands has data: a pixel of which one band is 0 is dark, not
        missing.
    """
    masks: NDArray[Any] = raster.read_masks(bands, window=window)
    if any(raster.colorinterp[band - 1] == ColorInterp.alpha for band in bands):
        by_alpha = [MaskFlags.alpha in raster.mask_flag_enums[band - 1] for band in bands]
        masks[by_alpha] = 255
    found: NDArray[np.bool_] = np.any(masks > 0, axis=0)
    return found
