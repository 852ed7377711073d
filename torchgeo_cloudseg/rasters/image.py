"""An open image: windows of its bands with where there is data, on its own grid or on another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling as Rule
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT

from .errors import SceneError
from .grid import Grid
from .header import header_of
from .open import open_raster
from .warp import Resampling, warped_view
from .window import Pixels, Span, data_mask


class Image:
    """A raster that is open until it is closed."""

    def __init__(self, path: str | Path) -> None:
        """Open the raster.

        Args:
            path: anything that GDAL reads.

        Raises:
            SceneError: if it cannot be opened.
        """
        self.path = str(path)
        # not a context manager: that would end GDAL's environment with the image, which may be in
        # the midst of somebody else's
        self.raster = open_raster(self.path)
        #: What the file holds.
        self.header = header_of(self.raster)
        self._view: WarpedVRT | None = None

    @property
    def grid(self) -> Grid:
        """Where the pixels of the file lie."""
        return self.header.grid

    def warp_to(self, grid: Grid, resampling: Resampling) -> None:
        """Read it on another grid from now on.

        Args:
            grid: the grid.
            resampling: how its pixels are made.
        """
        self._view = warped_view(self.raster, grid, resampling)

    def close(self) -> None:
        """Close the file."""
        if self._view is not None:
            self._view.close()
        self.raster.close()

    @property
    def two_rows_of_blocks(self) -> int:
        """Bytes of two rows of blocks; 0 where one holds the whole image."""
        rows = max(shape[0] for shape in self.raster.block_shapes)
        if rows >= self.raster.height:
            return 0
        itemsize = np.dtype(self.header.dtype).itemsize
        return 2 * int(rows) * self.grid.width * self.header.count * itemsize

    def read(
        self, bands: Sequence[int], rows: Span, cols: Span | None = None
    ) -> tuple[Pixels, NDArray[np.bool_]]:
        """Read a window.

        Args:
            bands: numbers of the bands, from 1.
            rows: first row and the one after the last.
            cols: first column and the one after the last (defaults to all).

        Returns:
            pixels (C, H, W) as they are stored, and where there is data (H, W).

        Raises:
            SceneError: if they cannot be read.
        """
        numbers = list(bands)
        try:
            if self._view is None:
                window = rows, cols or (0, self.grid.width)
                pixels: Pixels = self.raster.read(numbers, window=window)
                return pixels, data_mask(self.raster, numbers, window)
            window = rows, cols or (0, self._view.width)
            cover_band = header_of(self._view).alpha_bands[0]
            *values, cover = self._view.read([*numbers, cover_band], window=window)
        except RasterioError as error:
            found = f'unreadable pixels in rows {rows[0]} to {rows[1]}'
            # the error itself only says that there is another one
            cause = f'{found} ({error.__cause__ or error})'
            remedy = (
                'Restore the file from its source. If it is unharmed, and only the connection was '
                'lost, run again; what writes maps goes on with resume.'
            )
            raise SceneError(self.path, cause, 'a complete raster', remedy) from error
        return np.stack(values), cover > 0

    def overview(self, bands: list[int], longest_px: int, smooth: bool) -> Any:
        """Read the whole image at a smaller size.

        Args:
            bands: numbers of the bands, from 1.
            longest_px: its longer side afterwards, at most.
            smooth: average pixels, rather than take one of them.

        Returns:
            masked array (C, h, w).
        """
        shrink = max(1.0, max(self.raster.shape) / longest_px)
        height, width = (max(1, round(side / shrink)) for side in self.raster.shape)
        return self.raster.read(
            bands,
            out_shape=(len(bands), height, width),
            resampling=Rule.average if smooth else Rule.nearest,
            masked=True,
        )
