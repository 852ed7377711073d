"""Opening rasters, and keeping them open for the next read."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import RLock
from typing import NamedTuple

import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from .errors import GDAL_ERRORS, check_plain, unreadable
from .name import is_local, is_vrt, on_disk, sources_of

#: Listing a folder of thousands of files at every open costs more than the read itself.
GDAL_OPTIONS = {'GDAL_DISABLE_READDIR_ON_OPEN': 'EMPTY_DIR'}

#: A folder is not listed, but files beside a raster that say where it lies are looked at.
WITH_SIDECARS = {'GDAL_DISABLE_READDIR_ON_OPEN': 'TRUE'}

#: The text of a VRT is made here, not read: it may name memory maps, which have no header to check.
OWN_VRT = {'GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE': 'ALL'}

#: Looking up the CRS is three quarters of the time in which a small GeoTIFF is opened and read.
PIXELS_ONLY = {**GDAL_OPTIONS, 'GDAL_GEOREF_SOURCES': 'NONE'}

__all__ = (
    'POOL',
    'DatasetReader',
    'FilePool',
    'FileState',
    'file_state',
    'open_raster',
    'seeing_sidecars',
)


def seeing_sidecars() -> rasterio.Env:
    """Let whoever opens rasters inside see the files beside them.

    TorchGeo's command line turns that off for the whole process.

    Returns:
        what to open them in.

    Example:
        >>> with seeing_sidecars(), rasterio.open(next(root.rglob('S1_*.tif'))) as raster:
        ...     raster.count
        2
    """
    return rasterio.Env(**WITH_SIDECARS)


class FileState(NamedTuple):
    """What tells that a file has changed."""

    size: int
    mtime_ns: int


def file_state(path: str) -> FileState:
    """Size and time of change of a file; for a VRT, of all files that it is made of, too.

    Args:
        path: the file, or the text of a VRT.

    Returns:
        bytes and nanoseconds; for a VRT, bytes of all files, and a number that changes with any
        of their times. Sources that are no local files do not count. Of a raster in an archive,
        those of the archive; -1 of what is not on this machine, which may change unseen.

    Raises:
        SceneError: if there is no such file, or a link to itself.

    Example:
        >>> path = folder / 'p_1.tif'
        >>> path.write_bytes(b'II*')
        3
        >>> file_state(str(path))[0]
        3
    """
    files = [path]
    if is_vrt(path):
        files = [file for file in (path, *sources_of(path)) if is_local(file)]
    elif not is_local(path):
        files = [on_disk(path)]
        if not files[0]:
            return FileState(-1, -1)
    states = []
    for file in files:
        try:
            state = os.stat(file)  # noqa: PTH116 - faster, for every one of many files
        except OSError as error:
            raise unreadable(file, error) from error
        states.append(FileState(state.st_size, state.st_mtime_ns))
    if len(states) == 1:
        return states[0]
    times = hashlib.blake2b(repr(states).encode(), digest_size=7).digest()
    return FileState(sum(state.size for state in states), int.from_bytes(times, 'big'))


def open_raster(
    path: str | os.PathLike[str], options: Mapping[str, str] = WITH_SIDECARS
) -> DatasetReader:
    """Open a raster that may state no place: who needs one asks for it.

    Args:
        path: anything that GDAL reads.
        options: of GDAL, whatever the environment says, which TorchGeo's command changes.

    Returns:
        the open file.

    Raises:
        SceneError: if it cannot be opened.

    Example:
        >>> path = str(next(root.glob('test/planet_cloudy_*/*/*.tif')))
        >>> with open_raster(path) as raster:
        ...     raster.count
        4
    """
    for file in (os.fspath(path), *sources_of(os.fspath(path))):
        check_plain(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            own = OWN_VRT if os.fspath(path).startswith('<') else {}
            with rasterio.Env(**options, **own):
                return rasterio.open(path)
    except (*GDAL_ERRORS, ValueError, TypeError) as error:
        raise unreadable(os.fspath(path), error) from error


@contextmanager
def block_cache(size: int) -> Iterator[None]:
    """Limit what GDAL keeps of files in memory; without, it is a share of the machine's.

    Args:
        size: bytes.

    Yields:
        with the limit in force.

    Example:
        >>> with block_cache(64 * 2**20):
        ...     pass  # read and write
    """
    # a mask of an image goes into its file, not beside it
    with rasterio.Env(GDAL_CACHEMAX=size, GDAL_TIFF_INTERNAL_MASK=True):
        yield


@contextmanager
def reading(path: str, options: Mapping[str, str] = WITH_SIDECARS) -> Iterator[DatasetReader]:
    """Open a file for what is done inside.

    Args:
        path: the file.
        options: of GDAL.

    Yields:
        the open file, which is closed afterwards.

    Raises:
        SceneError: if it cannot be opened, or a read inside the block fails.

    Example:
        >>> path = str(next(root.glob('test/planet_cloudy_*/*/*.tif')))
        >>> with reading(path) as raster:
        ...     raster.read().shape
        (4, 300, 300)
    """
    with naming(path), rasterio.Env(**options), open_raster(path, options) as raster:
        yield raster


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Name the file in what GDAL raises: facts of an open file are only looked up when asked for.

    Args:
        path: the file.

    Yields:
        nothing.

    Raises:
        SceneError: if GDAL cannot do what is asked for.
    """
    try:
        yield
    except GDAL_ERRORS as error:
        raise unreadable(path, error) from error


class FilePool:
    """Raster files kept open for the next read, the least recently used closed first.

    A file that has changed since it was opened is opened anew. A pool belongs to one process:
    after a fork the child starts with an empty one, because file handles shared with the parent
    would read at each other's position.
    """

    def __init__(self, maxsize: int = 512) -> None:
        """Initialize a new FilePool instance.

        Args:
            maxsize: number of files kept open; below the usual limit of 1024 per process.
        """
        self.maxsize = maxsize
        #: Rasters by path, with the state of the file when it was opened.
        self._files: OrderedDict[str, tuple[DatasetReader, FileState]] = OrderedDict()
        self._lock = RLock()
        self._pid = os.getpid()

    @contextmanager
    def open(self, path: str) -> Iterator[DatasetReader]:
        """An open raster, locked for the calling thread.

        Args:
            path: the file.

        Yields:
            the raster, ready to read pixels; it does not say where they lie.

        Raises:
            SceneError: if the file cannot be opened or a read inside the block fails.
        """
        if self._pid != os.getpid():
            self.__init__(self.maxsize)  # type: ignore[misc]  # start anew after a fork
        with self._lock:
            raster, known = self._files.pop(path, (None, None))
            try:
                state = file_state(path)
                if raster is None or state != known:  # what GDAL has cached is out of date
                    if raster is not None:
                        raster.close()
                    raster = open_raster(path, PIXELS_ONLY)
                yield raster
            except GDAL_ERRORS as error:
                if raster is not None:
                    raster.close()
                raise unreadable(path, error) from error
            self._files[path] = raster, state
            while len(self._files) > self.maxsize:
                self._files.popitem(last=False)[1][0].close()


#: One pool for all data sets of a process, so that its limit holds for all together.
POOL = FilePool()
