"""Reading cloud-free GeoTIFFs and writing cloudy ones beside their mask and opacity."""

from __future__ import annotations

import math
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

from ..transforms.clouds import Grid

#: Meters per degree of latitude, and of longitude at the equator.
METERS_PER_DEGREE = 111_132.0, 111_320.0

#: Compressions that keep every value.
LOSSLESS = ('deflate', 'lzw', 'zstd', 'packbits')

#: Side of the tiles of the files, in pixels.
TILE = 512


def open_clear(path: Path) -> DatasetReader:
    """Open the input.

    Args:
        path: a raster of one dtype.

    Returns:
        the open file.

    Raises:
        FileNotFoundError: if it does not exist.
        ValueError: if it cannot be read, or is not an image.
    """
    if not path.exists():
        raise FileNotFoundError(f'{path}: not found, expected a cloud-free GeoTIFF.')
    try:
        source: DatasetReader = rasterio.open(path)
    except RasterioIOError as error:
        raise ValueError(f'{path}: found a file that is no raster ({error}).') from error
    kinds = set(source.dtypes)
    if len(kinds) != 1 or 'complex' in kinds.pop():
        source.close()
        raise ValueError(
            f'{path}: found bands of dtype {sorted(set(source.dtypes))}, expected real numbers of '
            'one dtype. Write the image with one dtype for all bands (gdal_translate -ot).'
        )
    return source


def color_bands(source: DatasetReader) -> list[int]:
    """Numbers of the bands that show the ground, from 1: all but alpha bands.

    Args:
        source: an open raster.

    Returns:
        band numbers.
    """
    meanings = enumerate(source.colorinterp, start=1)
    return [number for number, meaning in meanings if meaning != ColorInterp.alpha]


def place_of(source: DatasetReader, pixel_size: float | None) -> tuple[Grid, list[int]]:
    """Grid of a scene in meters, and integers that name the place.

    Args:
        source: an open raster.
        pixel_size: meters per pixel; None to follow the georeference.

    Returns:
        the grid, and the bounds in a thousandth of the CRS's unit (a hundred-millionth of a
        degree) with the EPSG code.

    Raises:
        ValueError: if there is no georeference to follow, or north is not up.
    """
    transform, crs = source.transform, source.crs
    referenced = crs is not None and not transform.is_identity
    if referenced and not (transform.b == transform.d == 0 and transform.e < 0 < transform.a):
        raise ValueError(
            f'{source.name}: found the geotransform {tuple(transform)[:6]}, expected north up '
            'without rotation, so that shadows can fall away from the sun. Warp the image first '
            '(gdalwarp).'
        )
    if pixel_size is not None and not 0 < pixel_size < math.inf:
        raise ValueError(f'pixel_size={pixel_size}: expected meters per pixel above 0.')
    if pixel_size is not None:
        sides = pixel_size, pixel_size
    elif not referenced:
        raise ValueError(
            f'{source.name}: found no georeference, which tells how large pixels are. Pass '
            'pixel_size= in meters.'
        )
    elif crs.is_geographic:
        latitude, longitude = METERS_PER_DEGREE
        middle = math.radians((source.bounds.bottom + source.bounds.top) / 2)
        sides = -transform.e * latitude, transform.a * longitude * math.cos(middle)
    else:
        meters = crs.linear_units_factor[1]
        sides = -transform.e * meters, transform.a * meters
    unit = 1e-8 if referenced and crs.is_geographic else 1e-3
    code = (crs.to_epsg() or 0) if referenced else 0
    bounds = [round(side / unit) for side in source.bounds]
    return Grid(source.height, source.width, sides), [code, *bounds]


class CloudWriter:
    """Cloudy image, mask and opacity, which appear together when all are complete.

    Until then they are hidden files beside their places; what is not committed is removed.
    """

    def __init__(
        self, source: DatasetReader, files: Sequence[Path], block_size: int, overwrite: bool
    ) -> None:
        """Initialize a new CloudWriter instance.

        Args:
            source: the cloud-free image.
            files: image, mask and opacity to write.
            block_size: rows and columns of a block.
            overwrite: replace files that exist.

        Raises:
            FileExistsError: if a file exists and *overwrite* is False.
            FileNotFoundError: if the folder of a file does not exist.
            ValueError: if files coincide.
        """
        places = [Path(source.name).resolve(), *(path.resolve() for path in files)]
        if len(set(places)) < len(places):
            raise ValueError(
                f'{", ".join(map(str, (source.name, *files)))}: found the same file twice, '
                'expected different files for input, output, mask and alpha.'
            )
        for path in files:
            if not path.parent.is_dir():
                raise FileNotFoundError(f'{path.parent}: found no such folder. Create it first.')
            if path.exists() and not overwrite:
                raise FileExistsError(f'{path}: exists already. Overwrite it, or name another.')
        self.source = source
        self.files = tuple(files)
        self.drafts = tuple(
            path.with_name(f'.{path.stem}.{os.getpid()}.partial.tif') for path in files
        )
        self.block_size = block_size
        self.writers: list[DatasetWriter] = []
        self.checksums: list[tuple[Window, list[int]]] = []

    def __enter__(self) -> Self:
        """Create the files under their temporary names."""
        common = {
            'driver': 'GTiff',
            'tiled': True,
            'blockxsize': TILE,
            'blockysize': TILE,
            'bigtiff': 'IF_SAFER',
        }
        image = {**self.source.profile, **common}
        if image.get('compress') not in LOSSLESS:
            image['compress'] = 'deflate'
            image.pop('photometric', None)
        layer = {
            **common,
            'height': self.source.height,
            'width': self.source.width,
            'crs': self.source.crs,
            'transform': self.source.transform,
            'compress': 'deflate',
            'count': 1,
        }
        mask = {**layer, 'dtype': 'uint8', 'nodata': 255}
        alpha = {**layer, 'dtype': 'float32', 'nodata': math.nan, 'predictor': 3}
        try:
            for draft, profile in zip(self.drafts, (image, mask, alpha), strict=True):
                self.writers.append(rasterio.open(draft, 'w', **profile))
            self._describe()
        except BaseException:
            self._discard()
            raise
        return self

    def _describe(self) -> None:
        """Carry over what the bands mean."""
        image, mask, alpha = self.writers
        image.update_tags(**self.source.tags())
        image.colorinterp = self.source.colorinterp
        image.scales, image.offsets = self.source.scales, self.source.offsets
        for band in self.source.indexes:
            image.update_tags(band, **self.source.tags(band))
            image.set_band_description(band, self.source.descriptions[band - 1] or '')
            image.set_band_unit(band, self.source.units[band - 1] or '')
        mask.set_band_description(1, 'cloud mask (1 cloud, 0 clear)')
        alpha.set_band_description(1, 'cloud opacity')

    def write(
        self,
        window: Window,
        image: npt.NDArray[Any],
        mask: npt.NDArray[np.uint8],
        alpha: npt.NDArray[np.float32],
    ) -> None:
        """Write one block.

        Args:
            window: where.
            image: array (C, H, W).
            mask: array (H, W).
            alpha: array (H, W).

        Raises:
            OSError: if it cannot be written, as on a full disk.
        """
        parts = image, mask[None], alpha[None]
        try:
            for writer, part in zip(self.writers, parts, strict=True):
                writer.write(part, window=window)
            if MaskFlags.per_dataset in self.source.mask_flag_enums[0] and not self._has_alpha():
                self.writers[0].write_mask(self.source.dataset_mask(window=window), window=window)
        except RasterioError as error:
            raise self._unwritten(self.files[0], error.__cause__ or error) from error
        self.checksums.append((window, [_checksum(part) for part in parts]))

    def commit(self, advance: Callable[[], object]) -> None:
        """Close the files, read them back, and give them their names.

        Args:
            advance: called after each block that was read back.

        Raises:
            OSError: if they do not hold what was written.
        """
        for writer in self.writers:
            writer.close()
        # GDAL writes the last blocks when it closes a file, and keeps errors then to itself
        try:
            with ExitStack() as stack:
                readers = [stack.enter_context(rasterio.open(draft)) for draft in self.drafts]
                for window, expected in self.checksums:
                    for reader, path, number in zip(readers, self.files, expected, strict=True):
                        if _checksum(reader.read(window=window)) != number:
                            raise self._unwritten(path, 'it reads back differently')
                    advance()
        except RasterioError as error:
            raise self._unwritten(self.files[0], error.__cause__ or error) from error
        # the image comes last: where it is, the others are
        for draft, path in reversed(list(zip(self.drafts, self.files, strict=True))):
            draft.replace(path)

    def _unwritten(self, path: Path, reason: object) -> OSError:
        free = shutil.disk_usage(path.parent).free >> 20
        return OSError(
            f'{path}: could not be written in full ({reason}); {free} MiB are free. Make room, or '
            'write to another disk.'
        )

    def _has_alpha(self) -> bool:
        return ColorInterp.alpha in self.source.colorinterp

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove what has not got its name."""
        self._discard()

    def _discard(self) -> None:
        for writer in self.writers:
            with suppress(RasterioError):
                writer.close()
        for draft in self.drafts:
            draft.unlink(missing_ok=True)


def _checksum(values: npt.NDArray[Any]) -> int:
    return zlib.crc32(values.tobytes())
