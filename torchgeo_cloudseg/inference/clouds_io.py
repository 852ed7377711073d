"""Reading cloud-free GeoTIFFs and writing cloudy ones beside their mask and opacity."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .._files import replacing
from ..rasters import SceneError, open_raster
from ..rasters.header import header_of
from ..rasters.open import DatasetReader
from ..rasters.window import Block
from ..rasters.write import TILED, RasterWriter, stores_mask
from ..transforms.clouds import Grid

#: Meters per degree of latitude, and of longitude at the equator.
METERS_PER_DEGREE = 111_132.0, 111_320.0


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
        source = open_raster(path)
    except SceneError as error:
        raise ValueError(f'{path}: found a file that is no raster ({error.found}).') from error
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
    alpha = header_of(source).alpha_bands
    return [band for band in source.indexes if band not in alpha]


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

    Until then they are hidden files beside their places; what is not complete is removed.
    """

    def __init__(self, source: DatasetReader, files: Sequence[Path], overwrite: bool) -> None:
        """Initialize a new CloudWriter instance.

        Args:
            source: the cloud-free image.
            files: image, mask and opacity to write.
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
        self.has_mask = stores_mask(source)
        self._writers: list[RasterWriter] = []

    @contextmanager
    def open(self, advance: Callable[[], object]) -> Iterator[None]:
        """Create the files; at the end they are read back, and get their names.

        Args:
            advance: called after each block that was read back.

        Yields:
            ready to :meth:`write`.

        Raises:
            OSError: if they do not hold what was written.
        """
        grid = header_of(self.source).grid
        layout = {**TILED, 'compress': 'deflate'}
        with ExitStack() as names:
            # the image gets its name last: where it is, the others are
            drafts = [names.enter_context(replacing(path)) for path in self.files]
            with (
                RasterWriter.like(self.source, drafts[0]) as image,
                RasterWriter(drafts[1], grid, 1, 'uint8', 255, **layout) as mask,
                RasterWriter(
                    drafts[2], grid, 1, 'float32', math.nan, predictor=3, **layout
                ) as alpha,
            ):
                mask.raster.set_band_description(1, 'cloud mask (1 cloud, 0 clear)')
                alpha.raster.set_band_description(1, 'cloud opacity')
                self._writers = [image, mask, alpha]
                yield
            for path, writer in zip(self.files, self._writers, strict=True):
                with self._in_full(path):
                    writer.verify(advance=advance if writer is image else int)

    def write(
        self,
        block: Block,
        image: npt.NDArray[Any],
        mask: npt.NDArray[np.uint8],
        alpha: npt.NDArray[np.float32],
    ) -> None:
        """Write one block.

        Args:
            block: where.
            image: array (C, H, W).
            mask: array (H, W).
            alpha: array (H, W).

        Raises:
            OSError: if it cannot be written, as on a full disk.
        """
        valid = self.source.dataset_mask(window=block) if self.has_mask else None
        parts: tuple[npt.NDArray[Any], ...] = image, mask[None], alpha[None]
        masks = valid, None, None
        for path, writer, part, where in zip(self.files, self._writers, parts, masks, strict=True):
            with self._in_full(path):
                writer.write(part, block.rows[0], block.cols[0], where)

    @contextmanager
    def _in_full(self, path: Path) -> Iterator[None]:
        """Errors of writing say which file it is, and what to do."""
        try:
            yield
        except OSError as error:
            free = shutil.disk_usage(path.parent).free >> 20
            raise OSError(
                f'{path}: could not be written in full ({error}); {free} MiB are free. Make room, '
                'or write to another disk.'
            ) from error
