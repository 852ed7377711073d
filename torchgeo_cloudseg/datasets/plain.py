"""Uncompressed files: where their pixels lie, and reading them without opening a raster.

Opening a GeoTIFF through GDAL costs ten times what it costs to read a patch of it, and in a data
set of small files hardly any file is read twice while it is open. Where the pixels of a file lie
one after the other, as in M3M-CR, one positioned read gets them.
"""

from __future__ import annotations

import os
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

#: First bytes of a classic TIFF file in little-endian order.
TIFF_MAGIC = b'II*\x00'

#: numpy types of the TIFF field types that hold unsigned integers.
_FIELD_TYPES: dict[int, np.dtype[Any]] = {3: np.dtype('<u2'), 4: np.dtype('<u4')}

#: Letters of numpy for the sample formats of TIFF: unsigned, signed, floating point.
_SAMPLE_FORMATS = {1: 'u', 2: 'i', 3: 'f'}

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STRIP_OFFSETS = 256, 257, 258, 259, 273
_FILL_ORDER, _SAMPLES, _STRIP_BYTES, _PLANAR, _SAMPLE_FORMAT = 266, 277, 279, 284, 339


class Plain(NamedTuple):
    """Where the pixels of an uncompressed file lie."""

    #: Position of the first pixel, in bytes.
    offset: int
    #: numpy type of a pixel, with its byte order.
    dtype: str
    #: Order of the axes in the file: ``HWC`` (all bands of a pixel together) or ``CHW``.
    order: str
    #: Number of bands.
    bands: int
    #: Height and width in pixels.
    height: int
    width: int

    @property
    def stop(self) -> int:
        """Position after the last pixel, in bytes: the least size that the file can have."""
        pixels = self.bands * self.height * self.width
        return self.offset + pixels * np.dtype(self.dtype).itemsize

    def read(self, file: int, rows: tuple[int, int], cols: tuple[int, int]) -> NDArray[Any] | None:
        """Read a window of all bands.

        Args:
            file: descriptor of the open file.
            rows: first row and the one after the last.
            cols: first column and the one after the last.

        Returns:
            array of shape (C, H, W), a view of what was read; None where the file has ended.
        """
        dtype = np.dtype(self.dtype)
        high = rows[1] - rows[0]
        if self.order == 'HWC' or self.bands == 1:
            row_bytes = self.width * self.bands * dtype.itemsize
            data = os.pread(file, high * row_bytes, self.offset + rows[0] * row_bytes)
            if len(data) < high * row_bytes:
                return None
            values = np.frombuffer(data, dtype).reshape(high, self.width, self.bands)
            return values[:, cols[0] : cols[1]].transpose(2, 0, 1)
        row_bytes = self.width * dtype.itemsize
        starts = (
            self.offset + (band * self.height + rows[0]) * row_bytes for band in range(self.bands)
        )
        bands = [os.pread(file, high * row_bytes, start) for start in starts]
        data = b''.join(bands)
        if len(data) < self.bands * high * row_bytes:
            return None
        return np.frombuffer(data, dtype).reshape(self.bands, high, self.width)[
            :, :, cols[0] : cols[1]
        ]


def plain_tiff(file: BinaryIO) -> Plain | None:
    """Find the pixels of a GeoTIFF whose pixels are stored as they are.

    Args:
        file: an open file.

    Returns:
        where they lie; None for a file that only a raster library can read (compressed, tiled,
        big-endian, BigTIFF, or with gaps between its strips).
    """
    head = file.read(8)
    if head[:4] != TIFF_MAGIC:
        return None
    tags = _read_tags(file, int.from_bytes(head[4:8], 'little'))
    try:
        if int(tags[_COMPRESSION][0]) != 1 or int(tags.get(_FILL_ORDER, [1])[0]) != 1:
            return None
        count = int(tags.get(_SAMPLES, [1])[0])
        kinds = {_SAMPLE_FORMATS.get(int(code)) for code in tags.get(_SAMPLE_FORMAT, [1])}
        widths = {int(bits) for bits in tags[_BITS]}
        offsets, sizes = tags[_STRIP_OFFSETS].astype(int), tags[_STRIP_BYTES].astype(int)
        height, width = int(tags[_HEIGHT][0]), int(tags[_WIDTH][0])
        order = 'HWC' if int(tags.get(_PLANAR, [1])[0]) == 1 else 'CHW'
    except KeyError:
        return None
    kind, bits = kinds.pop(), widths.pop()
    if kinds or widths or kind is None or bits not in (8, 16, 32, 64):
        return None
    plain = Plain(int(offsets[0]), f'<{kind}{bits // 8}', order, count, height, width)
    adjacent = np.array_equal(offsets[:-1] + sizes[:-1], offsets[1:])
    whole = plain.offset > 0 and plain.offset + int(sizes.sum()) == plain.stop
    return plain if adjacent and whole else None


def plain_array(file: BinaryIO) -> Plain | None:
    """Find the pixels of a ``.npy`` file with one (H, W) array.

    Args:
        file: an open file.

    Returns:
        where they lie; None for an array that is not stored row by row, or has other axes.

    Raises:
        ValueError: if the file is no ``.npy`` file, or a pickle.
    """
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, by_columns, dtype = npy.read_array_header_1_0(file)
    else:
        shape, by_columns, dtype = npy.read_array_header_2_0(file)
    if dtype.hasobject:
        raise ValueError('Object arrays cannot be loaded when allow_pickle=False')
    if by_columns or len(shape) != 2:
        return None
    return Plain(file.tell(), dtype.str, 'HWC', 1, *shape)


def _read_tags(file: BinaryIO, position: int) -> dict[int, NDArray[np.integer[Any]]]:
    """Fields of the first directory of a TIFF file that hold unsigned integers."""
    file.seek(position)
    length = int.from_bytes(file.read(2), 'little')
    entry = np.dtype([('tag', '<u2'), ('type', '<u2'), ('count', '<u4'), ('value', 'V4')])
    data = file.read(length * entry.itemsize)
    tags = {}
    for tag, kind, count, value in np.frombuffer(data[: len(data) // 12 * 12], entry):
        dtype = _FIELD_TYPES.get(int(kind))
        if dtype is None:
            continue
        raw = bytes(value)
        if count * dtype.itemsize > len(raw):
            file.seek(int.from_bytes(raw, 'little'))
            raw = file.read(int(count) * dtype.itemsize)
        if len(raw) >= count * dtype.itemsize:
            tags[int(tag)] = np.frombuffer(raw, dtype, int(count))
    return tags
