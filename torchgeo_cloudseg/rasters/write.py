"""Writing GeoTIFFs block by block, and making sure that they hold what was written."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.windows import Window

from .._files import replacing
from .errors import GDAL_ERRORS, SceneError
from .grid import Grid
from .header import header_of
from .open import open_raster
from .window import Pixels

#: Side of the tiles of a GeoTIFF, in pixels.
BLOCK_PX = 512

#: How files are laid out whose windows are read: tiles, and BigTIFF where 4 GiB may not do.
TILED = {'tiled': True, 'blockxsize': BLOCK_PX, 'blockysize': BLOCK_PX, 'bigtiff': 'IF_SAFER'}

#: Compressions that keep every value.
LOSSLESS = ('deflate', 'lzw', 'zstd', 'packbits')


class RasterWriter:
    """A GeoTIFF that is written block by block and compared with what was written.

    It does not care about names: see :func:`torchgeo_cloudseg._files.replacing`.

    Example:
        >>> import numpy as np
        >>> from torchgeo_cloudseg.rasters import Grid
        >>> grid = Grid.north_up('EPSG:32631', (500_000, 100_000), pixel=(10, 10), size_px=(64, 32))
        >>> with RasterWriter(folder / 'map.tif', grid, 1, 'uint8', nodata=255) as writer:
        ...     for top in (0, 32):
        ...         writer.write(np.zeros((1, 32, 32), np.uint8), top)
        >>> writer.verify()
    """

    def __init__(
        self, path: Path, grid: Grid, count: int, dtype: str, nodata: float | None, **profile: Any
    ) -> None:
        """Create the file.

        Args:
            path: where to write.
            grid: its grid.
            count: number of bands.
            dtype: data type.
            nodata: value of pixels without data, if there is one.
            **profile: creation options of GDAL.

        Raises:
            OSError: if it cannot be created.
        """
        self.path = path
        #: Whether a mask is written along with pixels.
        self.has_mask = False
        self._checksums = [0] * count
        self._windows: list[Window] = []
        with warnings.catch_warnings():
            # some files state no place
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            self.raster = rasterio.open(
                path, 'w', driver='GTiff', count=count, dtype=dtype, nodata=nodata, crs=grid.crs,
                transform=grid.transform, height=grid.height, width=grid.width, **profile,
            )  # fmt: skip
            if grid.control:
                grid.control.write(self.raster)

    @classmethod
    def like(cls, source: DatasetReader, path: Path) -> Self:
        """Create a file for an image of the same kind: grid, bands, what they mean, and tags.

        Args:
            source: the open raster.
            path: where to write.

        Returns:
            a writer of a tiled file, without loss.
        """
        known = ('driver', 'count', 'dtype', 'nodata', 'crs', 'transform', 'height', 'width')
        profile = {key: value for key, value in source.profile.items() if key not in known}
        profile |= TILED
        if profile.get('compress') not in LOSSLESS:
            profile['compress'] = 'deflate'
            profile.pop('photometric', None)
        header = header_of(source)
        writer = cls(path, header.grid, header.count, header.dtype, header.nodata, **profile)
        # a mask for all bands, other than an alpha band
        by_dataset = MaskFlags.per_dataset in source.mask_flag_enums[0]
        writer.has_mask = by_dataset and not header.alpha_bands
        raster = writer.raster
        raster.update_tags(**source.tags())
        raster.colorinterp = source.colorinterp
        raster.scales, raster.offsets = source.scales, source.offsets
        raster.descriptions, raster.units = source.descriptions, source.units
        for band in source.indexes:
            tags = source.tags(band).items()
            # statistics are those of other pixels
            kept = {key: value for key, value in tags if not key.startswith('STATISTICS_')}
            raster.update_tags(band, **kept)
        return writer

    def __enter__(self) -> Self:
        """Use as a context manager, which closes the file."""
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Close the file. GDAL writes the last blocks then, and keeps errors to itself."""
        # what went wrong before is told, not what follows from it
        with suppress(*(() if error is None else GDAL_ERRORS)):
            self.raster.close()

    def write(
        self, values: Pixels, top: int, left: int = 0, has_data: NDArray[np.bool_] | None = None
    ) -> None:
        """Write a block.

        Args:
            values: pixels (C, h, w).
            top: first row.
            left: first column.
            has_data: where there is data (h, w), for a file with a mask of its own.

        Raises:
            OSError: if it cannot be written, as on a full disk; the message does not name the file.
        """
        window = Window(left, top, values.shape[2], values.shape[1])
        try:
            self.raster.write(values, window=window)
            if self.has_mask and has_data is not None:
                self.raster.write_mask(has_data, window=window)
        except GDAL_ERRORS as error:
            raise OSError(str(error.__cause__ or error)) from error
        self._windows.append(window)
        self._checksums = _added(self._checksums, values)

    def verify(self, path: Path | None = None, advance: Callable[[], object] = int) -> None:
        """Read the closed file and compare it with what was written.

        Args:
            path: another file to compare, such as a copy in another format.
            advance: called after each block.

        Raises:
            OSError: if it holds something else; the message does not name the file.
        """
        windows = self._windows
        width, height = self.raster.width, self.raster.height
        if all(window.width == width and window.height < BLOCK_PX for window in windows):
            # checksums of whole rows do not depend on how many are read at once
            tops = range(0, height, BLOCK_PX)
            windows = [Window(0, top, width, min(BLOCK_PX, height - top)) for top in tops]
        checksums = [0] * len(self._checksums)
        try:
            with open_raster(path or self.path) as raster:
                for window in windows:
                    checksums = _added(checksums, raster.read(window=window))
                    advance()
        except (*GDAL_ERRORS, SceneError) as error:
            raise OSError(str(error.__cause__ or error)) from error
        if checksums != self._checksums:
            raise OSError('it reads back differently')


def _added(checksums: Sequence[int], values: Pixels) -> list[int]:
    """Checksum of each band, with further pixels."""
    return [
        zlib.crc32(np.ascontiguousarray(band).data, checksum)
        for checksum, band in zip(checksums, values, strict=True)
    ]


def write_geotiff(
    path: Path, bands: NDArray[np.generic], grid: Grid | None = None, nodata: float | None = None
) -> None:
    """Write a small GeoTIFF at once.

    Args:
        path: the file; its folder is made if need be.
        bands: pixels (C, H, W), in the data type to store.
        grid: where they lie, if the file is to state it.
        nodata: the value that stands for no data, if there is one.

    Example:
        >>> import numpy as np
        >>> from torchgeo_cloudseg.rasters import Grid, read_header
        >>> grid = Grid.north_up('EPSG:32631', (500_000, 100_000), pixel=(10, 10), size_px=(64, 64))
        >>> write_geotiff(folder / 'p_1.tif', np.zeros((4, 64, 64), np.uint16), grid, nodata=0)
        >>> read_header(str(folder / 'p_1.tif')).nodata
        0.0
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    grid = grid or Grid(None, Affine.identity(), height, width)
    with (
        replacing(path) as draft,
        RasterWriter(draft, grid, count, bands.dtype.name, nodata) as writer,
    ):
        writer.write(bands, 0)


def write_array(path: Path, array: NDArray[np.generic]) -> None:
    """Write a ``.npy`` file.

    Args:
        path: the file; its folder is made if need be.
        array: what to write.

    Example:
        >>> import numpy as np
        >>> write_array(folder / 'mask.npy', np.zeros((300, 300), bool))
        >>> np.load(folder / 'mask.npy', allow_pickle=False).shape
        (300, 300)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        np.save(draft, array, allow_pickle=False)
