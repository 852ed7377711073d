"""What a raster is, without its pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property, lru_cache

from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.transform import Affine

from .array import map_array
from .control import Control
from .errors import SceneError
from .grid import Grid
from .name import is_local
from .open import reading


@dataclass(frozen=True)
class Header:
    """Size, type and place of a raster, and what its bands are.

    Example:
        >>> from torchgeo_cloudseg.rasters import Grid
        >>> grid = Grid.north_up('EPSG:32631', (500_000, 100_000), (10, 10), size_px=(256, 512))
        >>> Header(grid, count=4, dtype='uint16', nodata=0).nodata
        0
    """

    grid: Grid
    #: Number of bands.
    count: int
    #: numpy name of the data type of the first band.
    dtype: str
    #: Stored value of pixels without data, where the file declares one.
    nodata: float | None = None
    #: Bands that are masks, counted from 1.
    alpha_bands: tuple[int, ...] = ()
    #: Whether values stand for colors of a table.
    has_palette: bool = False

    @property
    def color_bands(self) -> tuple[int, ...]:
        """Bands that are measurements, counted from 1."""
        return tuple(band for band in range(1, self.count + 1) if band not in self.alpha_bands)

    @property
    def height(self) -> int:
        """Rows."""
        return self.grid.height

    @property
    def width(self) -> int:
        """Columns."""
        return self.grid.width

    @cached_property
    def crs(self) -> str:
        """``EPSG:<code>`` or WKT; empty where the file has none."""
        return crs_string(self.grid.crs)

    @property
    def transform(self) -> tuple[float, ...]:
        """Coefficients a, b, c, d, e, f of the affine transform."""
        return tuple(self.grid.transform)[:6]


def header_of(raster: DatasetReader) -> Header:
    """Header of an open raster.

    Args:
        raster: the raster.

    Returns:
        its header.
    """
    colors = enumerate(raster.colorinterp, start=1)
    # a grid goes before whatever else is stated
    control = None if raster.crs else Control.of(raster)
    return Header(
        grid=Grid(raster.crs or None, raster.transform, raster.height, raster.width, control),
        count=raster.count,
        dtype=raster.dtypes[0],
        nodata=raster.nodata,
        alpha_bands=tuple(band for band, color in colors if color == ColorInterp.alpha),
        has_palette=ColorInterp.palette in raster.colorinterp,
    )


def read_header(path: str) -> Header:
    """Read the header of a raster, and make sure that an uncompressed file has all its pixels.

    A georeference in a file beside it (``.aux.xml``, ``.tfw``) counts; pixels are read without
    looking there.

    Args:
        path: the file.

    Returns:
        its header.

    Raises:
        SceneError: if the file cannot be opened, or is cut off.

    Example:
        >>> path = str(next(root.glob('test/planet_cloudy_*/*/*.tif')))
        >>> header = read_header(path)
        >>> header.count, header.dtype, header.grid.height
        (4, 'uint16', 300)
    """
    with reading(path) as raster:
        header = header_of(raster)
        stop = 0 if raster.compression else _end_of_pixels(raster)
    stop = stop if is_local(path) else 0
    size = os.path.getsize(path) if stop else 0  # noqa: PTH202 - for every one of many files
    if size < stop:
        raise SceneError(path, f'a file cut off after {size} bytes', f'{stop} bytes')
    return header


def _end_of_pixels(raster: DatasetReader) -> int:
    """Position after the last block of a GeoTIFF, in bytes; 0 where GDAL does not tell."""
    rows, columns = raster.block_shapes[-1]
    block = f'{(raster.width - 1) // columns}_{(raster.height - 1) // rows}'
    place, size = (
        raster.get_tag_item(f'BLOCK_{fact}_{block}', 'TIFF', bidx=raster.count)
        for fact in ('OFFSET', 'SIZE')
    )
    return int(place or 0) + int(size or 0)


def read_array_header(path: str) -> Header:
    """Read size and type of a ``.npy`` file.

    Args:
        path: the file.

    Returns:
        its header, without a place; for other than two axes, height and width are 0 and the count
        is the number of axes less one.

    Raises:
        SceneError: if the file is missing, broken or a pickle.

    Example:
        >>> import numpy as np
        >>> np.save(folder / 'mask.npy', np.zeros((300, 300), bool))
        >>> read_array_header(str(folder / 'mask.npy')).dtype
        'bool'
    """
    array = map_array(path)
    height, width = array.shape if array.ndim == 2 else (0, 0)
    nowhere = Grid(None, Affine(1, 0, 0, 0, -1, 0), height, width)
    return Header(nowhere, array.ndim - 1, str(array.dtype))


@lru_cache(maxsize=1024)
def crs_string(crs: CRS | str | None) -> str:
    """Shortest unambiguous text of a coordinate reference system.

    Args:
        crs: rasterio's object, text that it understands, or None.

    Returns:
        ``EPSG:<code>``, else WKT, else an empty string.

    Example:
        >>> from rasterio.crs import CRS
        >>> crs_string(CRS.from_epsg(32631))
        'EPSG:32631'
    """
    if not crs:
        return ''
    known = CRS.from_user_input(crs)
    epsg = known.to_epsg()
    return f'EPSG:{epsg}' if epsg else str(known.to_wkt())
