"""Reading windows of GeoTIFF and NumPy files, with errors that name the file."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from .errors import SceneError

#: Listing a folder of thousands of files at every open costs more than the read itself.
GDAL_OPTIONS = {'GDAL_DISABLE_READDIR_ON_OPEN': 'EMPTY_DIR'}


@dataclass(frozen=True)
class Header:
    """Size, type and place of a raster, without its pixels."""

    height: int
    width: int
    count: int
    dtype: str
    #: ``EPSG:<code>`` or WKT; empty where the file has none.
    crs: str
    #: Coefficients a, b, c, d, e, f of the affine transform.
    transform: tuple[float, float, float, float, float, float]


class FilePool:
    """Raster files kept open for the next read, the least recently used closed first.

    A pool belongs to one process: after a fork the child starts with an empty one, because file
    handles shared with the parent would read at each other's position.
    """

    def __init__(self, maxsize: int = 512) -> None:
        """Initialize a new FilePool instance.

        Args:
            maxsize: number of files kept open; below the usual limit of 1024 per process.
        """
        self.maxsize = maxsize
        self._files: OrderedDict[str, DatasetReader] = OrderedDict()
        self._lock = RLock()
        self._pid = os.getpid()

    @contextmanager
    def open(self, path: str, keep: bool = True) -> Iterator[DatasetReader]:
        """An open raster, locked for the calling thread.

        Args:
            path: the file.
            keep: keep the file open for the next read.

        Yields:
            the raster, ready to read.

        Raises:
            SceneError: if the file cannot be opened or a read inside the block fails.
        """
        if self._pid != os.getpid():
            self.__init__(self.maxsize)  # type: ignore[misc]  # start anew after a fork
        with self._lock:
            try:
                raster = self._files.pop(path, None)
                if raster is None:
                    with rasterio.Env(**GDAL_OPTIONS):
                        raster = rasterio.open(path)
                yield raster
            except RasterioError as error:
                raise unreadable(path, error) from error
            if keep:
                self._files[path] = raster
                while len(self._files) > self.maxsize:
                    self._files.popitem(last=False)[1].close()
            else:
                raster.close()


#: One pool for all data sets of a process, so that its limit holds for all together.
POOL = FilePool()


def unreadable(path: str, error: Exception) -> SceneError:
    """The error for a file that a library could not read.

    Args:
        path: the file.
        error: what the library said.

    Returns:
        an error that names the file and the remedy.
    """
    if not os.path.exists(path):  # noqa: PTH110 - called for every broken one of many files
        return SceneError(path, 'no such file', 'a file', 'It was there when the index was made?')
    cause = error.__cause__ or error
    return SceneError(path, f'an unreadable file ({cause})', 'a complete raster file')


def read_header(path: str) -> Header:
    """Read size, type and place of a GeoTIFF.

    Args:
        path: the file.

    Returns:
        its header.

    Raises:
        SceneError: if the file cannot be opened.
    """
    try:
        with rasterio.Env(**GDAL_OPTIONS), rasterio.open(path) as src:
            return Header(
                height=src.height,
                width=src.width,
                count=src.count,
                dtype=src.dtypes[0],
                crs=crs_string(src.crs),
                transform=tuple(src.transform)[:6],
            )
    except (RasterioError, OSError) as error:
        raise unreadable(path, error) from error


def crs_string(crs: Any) -> str:
    """Shortest unambiguous text of a coordinate reference system.

    Args:
        crs: a rasterio CRS, or None.

    Returns:
        ``EPSG:<code>``, else WKT, else an empty string.
    """
    if not crs:
        return ''
    epsg = crs.to_epsg()
    return f'EPSG:{epsg}' if epsg else str(crs.to_wkt())


def read_window(
    path: str, rows: tuple[int, int], cols: tuple[int, int], cache: bool = True
) -> NDArray[Any]:
    """Read a window of all bands.

    Args:
        path: a GeoTIFF, or a ``.npy`` file with one (H, W) array.
        rows: first row and the one after the last.
        cols: first column and the one after the last.
        cache: keep the file open for the next read.

    Returns:
        array of shape (C, H, W) in the stored data type.

    Raises:
        SceneError: if the file is missing, broken or a pickle.
    """
    if path.endswith('.npy'):
        return load_array(path)[None, rows[0] : rows[1], cols[0] : cols[1]]
    with POOL.open(path, keep=cache) as raster:
        data: NDArray[Any] = raster.read(window=(rows, cols))
        return data


def load_array(path: str, mmap: bool = False) -> NDArray[Any]:
    """Load an array from a ``.npy`` file, never unpickling it.

    Args:
        path: the file.
        mmap: map the file instead of reading it.

    Returns:
        the array.

    Raises:
        SceneError: if the file is missing, broken or a pickle.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode='r' if mmap else None, allow_pickle=False)
    except (OSError, EOFError) as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise SceneError(
            path,
            f'no plain array ({error})',
            'a .npy file with a boolean array',
            'Pickles are never loaded: save it again with numpy.save(path, mask.astype(bool)).',
        ) from error
    return array
