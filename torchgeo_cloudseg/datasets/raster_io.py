"""Reading windows of GeoTIFF and NumPy files, with errors that name the file."""

from __future__ import annotations

import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import RLock
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from .errors import SceneError
from .plain import Plain, plain_array, plain_tiff

#: Listing a folder of thousands of files at every open costs more than the read itself.
GDAL_OPTIONS = {'GDAL_DISABLE_READDIR_ON_OPEN': 'EMPTY_DIR'}


def open_raster(path: str | os.PathLike[str]) -> DatasetReader:
    """Open a raster that may state no place: its name may do so, and if not it is refused.

    Args:
        path: the file.

    Returns:
        the open file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        return rasterio.open(path)


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
    #: Where the pixels lie, if they are stored as they are.
    plain: Plain | None = None


class Stored(NamedTuple):
    """State of an uncompressed file when it was indexed, and where its pixels lie."""

    plain: Plain
    size: int
    mtime_ns: int


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
        #: Rasters by path, with the size and time of change of the file when it was opened.
        self._files: OrderedDict[str, tuple[DatasetReader, tuple[int, int]]] = OrderedDict()
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
        if not keep:
            try:
                with rasterio.Env(**GDAL_OPTIONS), open_raster(path) as raster:
                    yield raster
            except RasterioError as error:
                raise unreadable(path, error) from error
            return
        if self._pid != os.getpid():
            self.__init__(self.maxsize)  # type: ignore[misc]  # start anew after a fork
        with self._lock:
            raster, known = self._files.pop(path, (None, None))
            try:
                found = file_state(path)
                state = found.st_size, found.st_mtime_ns
                if raster is not None and state != known:  # what GDAL has cached is out of date
                    raster.close()
                    raster = None
                if raster is None:
                    with rasterio.Env(**GDAL_OPTIONS):
                        raster = open_raster(path)
                yield raster
            except RasterioError as error:
                if raster is not None:
                    raster.close()
                raise unreadable(path, error) from error
            self._files[path] = raster, state
            while len(self._files) > self.maxsize:
                self._files.popitem(last=False)[1][0].close()


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
    if isinstance(error, OSError) and error.strerror and not isinstance(error, FileNotFoundError):
        return SceneError(path, f'an unreadable file ({error.strerror})', 'a readable file')
    if not os.path.exists(path):  # noqa: PTH110 - called for every broken one of many files
        link = os.path.islink(path)  # noqa: PTH114
        found = 'a link to nowhere' if link else 'no such file'
        remedy = 'If it was there before, restore it, or leave its scene out.'
        return SceneError(path, found, 'a file', remedy)
    if os.path.getsize(path) == 0:  # noqa: PTH202
        return SceneError(path, 'an empty file', 'a complete file')
    cause = str(error.__cause__ or error).removeprefix(f"'{path}' ")
    return SceneError(path, f'an unreadable file ({cause})', 'a complete file')


def file_state(path: str) -> os.stat_result:
    """Size and time of change of a file.

    Args:
        path: the file.

    Returns:
        its state.

    Raises:
        SceneError: if there is no such file, or a link to itself.
    """
    try:
        return os.stat(path)  # noqa: PTH116 - faster, for every one of many files
    except OSError as error:
        raise unreadable(path, error) from error


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
        with rasterio.Env(**GDAL_OPTIONS), open_raster(path) as src:
            header = Header(
                height=src.height,
                width=src.width,
                count=src.count,
                dtype=src.dtypes[0],
                crs=crs_string(src.crs),
                transform=tuple(src.transform)[:6],
            )
        with open(path, 'rb') as file:  # noqa: PTH123 - faster, for every one of many files
            plain = _complete(path, file, plain_tiff(file))
    except (RasterioError, OSError) as error:
        raise unreadable(path, error) from error
    return replace(header, plain=plain)


def read_array_header(path: str) -> Header:
    """Read size and type of a ``.npy`` file.

    Args:
        path: the file.

    Returns:
        its header, without a place; for other than two axes, height and width are 0 and the count
        is the number of axes.

    Raises:
        SceneError: if the file is missing, broken or a pickle.
    """
    try:
        with open(path, 'rb') as file:  # noqa: PTH123 - faster, for every one of many files
            plain = _complete(path, file, plain_array(file))
    except OSError as error:
        raise unreadable(path, error) from error
    except SceneError:
        raise
    except ValueError as error:
        raise _no_array(path, error) from error
    nowhere = (1, 0, 0, 0, -1, 0)
    if plain is not None:
        dtype = np.dtype(plain.dtype).name
        return Header(plain.height, plain.width, 1, dtype, '', nowhere, plain)
    array = load_array(path, mmap=True)
    height, width = array.shape if array.ndim == 2 else (0, 0)
    return Header(height, width, array.ndim - 1, str(array.dtype), '', nowhere)


def _complete(path: str, file: BinaryIO, plain: Plain | None) -> Plain | None:
    """Refuse a file that ends before its pixels do."""
    size = os.fstat(file.fileno()).st_size
    if plain is not None and size < plain.stop:
        raise SceneError(path, f'a file cut off after {size} bytes', f'{plain.stop} bytes')
    return plain


def crs_string(crs: CRS | None) -> str:
    """Shortest unambiguous text of a coordinate reference system.

    Args:
        crs: a rasterio CRS, or None.

    Returns:
        ``EPSG:<code>``, else WKT, else an empty string.
    """
    if not crs:
        return ''
    return _crs_string(crs.to_wkt())


@lru_cache(maxsize=1024)
def _crs_string(wkt: str) -> str:
    epsg = CRS.from_wkt(wkt).to_epsg()
    return f'EPSG:{epsg}' if epsg else wkt


def read_window(
    path: str,
    rows: tuple[int, int],
    cols: tuple[int, int],
    cache: bool = True,
    stored: Stored | None = None,
) -> NDArray[Any]:
    """Read a window of all bands.

    Args:
        path: a GeoTIFF, or a ``.npy`` file with one (H, W) array.
        rows: first row and the one after the last.
        cols: first column and the one after the last.
        cache: keep the file open for the next read.
        stored: what the index knows of the file, which spares opening it as a raster.

    Returns:
        array of shape (C, H, W) in the stored data type, not necessarily contiguous.

    Raises:
        SceneError: if the file is missing, broken, a pickle, or smaller than it was.
    """
    data = None if stored is None else _read_plain(path, stored, rows, cols)
    if data is None and path.endswith('.npy'):
        data = load_array(path)[None, rows[0] : rows[1], cols[0] : cols[1]]
    elif data is None:
        with POOL.open(path, keep=cache) as raster:
            data = raster.read(window=(rows, cols))
    if data.shape[1:] != (rows[1] - rows[0], cols[1] - cols[0]):
        expected = f'rows to {rows[1]} and columns to {cols[1]}, as when it was indexed'
        raise SceneError(path, 'fewer pixels', expected)
    return data


def _read_plain(
    path: str, stored: Stored, rows: tuple[int, int], cols: tuple[int, int]
) -> NDArray[Any] | None:
    """Read a window where the index says it is; None if the file is no longer the one indexed."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        state = os.fstat(file)
        if state.st_size != stored.size or state.st_mtime_ns != stored.mtime_ns:
            return None
        return stored.plain.read(file, rows, cols)
    finally:
        os.close(file)


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
        raise _no_array(path, error) from error
    return array


def _no_array(path: str, error: Exception) -> SceneError:
    if str(error).startswith('EOF'):  # how numpy says that the header is cut off
        return unreadable(path, error)
    return SceneError(
        path,
        f'no plain array ({error})',
        'a .npy file with a boolean array',
        'Pickles are never loaded: save it again with numpy.save(path, mask.astype(bool)).',
    )
