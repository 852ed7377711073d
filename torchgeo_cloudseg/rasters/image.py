"""An open image: measurements and where there are any, on its own grid or on another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rasterio.enums import Resampling as Rule
from rasterio.io import DatasetReader

from .errors import GDAL_ERRORS, SceneError
from .grid import Grid
from .header import header_of
from .measured import MISSING, measured_view
from .open import naming, open_raster, seeing_sidecars
from .warp import Resampling, warped_view
from .window import Pixels, Span, data_mask


class Image:
    """A raster that is open until it is closed.

    :meth:`read` gives what is stored. :meth:`measure` gives what it means, of the bands that were
    :meth:`selected <select>`.

    Example:
        >>> path = str(next(root.glob('test/planet_cloudy_*/*/*.tif')))
        >>> from contextlib import closing
        >>> with closing(Image(path)) as image:
        ...     image.select([1, 2, 3, 4])
        ...     values, valid = image.measure(rows=(0, 100))
        >>> values.shape, bool(valid.all())
        ((4, 100, 300), True)
    """

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
        with naming(self.path):
            self.header = header_of(self.raster)
        self._view: DatasetReader | None = None
        #: Whether it is read on another grid than its own.
        self.is_warped = False

    @property
    def grid(self) -> Grid:
        """Where the pixels of the file lie."""
        return self.header.grid

    def unit_of(self, bands: Sequence[int]) -> str:
        """What the file says that physical values are.

        Args:
            bands: numbers of the bands, from 1.

        Returns:
            the unit that all bands have in common, or nothing.
        """
        units = {self.raster.units[band - 1] or '' for band in bands}
        return units.pop() if len(units) == 1 else ''

    def select(
        self,
        bands: Sequence[int],
        nodata: float | None = None,
        unit: tuple[ArrayLike, ArrayLike] | None = None,
        decibels: float | None = None,
    ) -> None:
        """Say which bands are looked at, and what their values are to mean.

        Values are those that are stored, times the scale and plus the offset that the file
        declares.

        Args:
            bands: numbers of the bands, from 1.
            nodata: stored value of pixels without data in bands that declare none.
            unit: scale and offset of the values that are wanted, for all bands or by band, where
                these are no physical values themselves. A file that declares a scale gives
                physical values, which are brought to it; any other is taken to have this unit.
            decibels: make dB of linear values: so many per power of ten (10 for power, 20 for
                amplitude).

        Raises:
            SceneError: if values are complex.
        """
        if self.header.dtype.startswith('complex'):
            remedy = 'Make backscatter of it first: calibrated intensity, in dB for most networks.'
            found = f'complex values ({self.header.dtype}), as of single-look complex SAR'
            raise SceneError(self.path, found, 'real ones', remedy)
        with naming(self.path):
            declared = self.raster.scales, self.raster.offsets
        scale, offset = (np.array([values[band - 1] for band in bands]) for values in declared)
        wanted = [np.asarray(facts, np.float64) for facts in unit or (1.0, 0.0)]
        physical = scale != 1
        #: What is multiplied with stored values, and what is added, (C, 1, 1) each.
        self.gain = np.where(physical, scale / wanted[0], 1.0)[:, None, None]
        bias = np.where(physical, (offset - wanted[1]) / wanted[0], offset)
        self.bias = bias[:, None, None]
        self._bands, self._nodata, self._decibels = list(bands), nodata, decibels
        self._see(self._measured())

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what is read."""
        raster = self._view or self.raster
        return raster.height, raster.width

    @property
    def is_scaled(self) -> bool:
        """Whether values are others than those that are stored."""
        return bool((self.gain != 1).any() or self.bias.any())

    def warp_to(self, grid: Grid, resampling: Resampling, place: Grid | None = None) -> None:
        """Read it on another grid from now on.

        Args:
            grid: the grid.
            resampling: how its pixels are made.
            place: where its own pixels are to be taken to lie (defaults to what the file says).
        """
        view, place = self._measured(), place or self.grid
        self.is_warped = True
        self._see(warped_view(view, place, grid, resampling, len(self._bands)))

    def _measured(self) -> str:
        """The bands that were selected, and where they have data."""
        with naming(self.path):
            return measured_view(self.path, self.raster, self._bands, self._nodata)

    def _see(self, view: str) -> None:
        if self._view is not None:
            self._view.close()
        self._view = open_raster(view)

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
        """Read a window of the file as it is stored.

        Args:
            bands: numbers of the bands, from 1.
            rows: first row and the one after the last.
            cols: first column and the one after the last (defaults to all).

        Returns:
            pixels (C, H, W) as they are stored, and where there is data (H, W).

        Raises:
            SceneError: if they cannot be read.
        """
        window, numbers = (rows, cols or (0, self.grid.width)), list(bands)
        with self._naming(rows):
            return self.raster.read(numbers, window=window), data_mask(self.raster, numbers, window)

    def measure(
        self, rows: Span, cols: Span | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window of the bands that were selected, on the grid that is wanted.

        Args:
            rows: first row and the one after the last.
            cols: first column and the one after the last (defaults to all).

        Returns:
            values (C, H, W), NaN where one is missing or not finite; and where there is data
            (H, W): where the file does not say of all bands that there is none.

        Raises:
            SceneError: if they cannot be read.
            ValueError: if no bands were selected.
        """
        if self._view is None:
            raise ValueError('Select the bands first.')
        with self._naming(rows):
            values: NDArray[np.float32] = self._view.read(
                window=(rows, cols or (0, self._view.width))
            )
        missing = values == MISSING
        has_data: NDArray[np.bool_] = ~missing.all(axis=0)
        values[missing | ~np.isfinite(values)] = np.nan
        if self.is_scaled:
            values = (values * self.gain + self.bias).astype(np.float32)
        if self._decibels:
            # what is not positive was not measured
            logarithms = np.log10(values, where=values > 0, out=np.full_like(values, np.nan))
            values = np.float32(self._decibels) * logarithms
        return values, has_data

    @contextmanager
    def _naming(self, rows: Span) -> Iterator[None]:
        """Errors of reads inside name the file; sources of a VRT are opened only then."""
        try:
            with seeing_sidecars():
                yield
        except GDAL_ERRORS as error:
            found = f'unreadable pixels in rows {rows[0]} to {rows[1]}'
            # the error itself only says that there is another one
            reason = re.sub(r'<VRTDataset.*>', '...', str(error.__cause__ or error))
            remedy = (
                'Restore the file from its source. If it is unharmed, and only the connection was '
                'lost, run again; what writes maps goes on with resume.'
            )
            cause = f'{found} ({reason})'
            raise SceneError(self.path, cause, 'a complete raster', remedy) from error

    def brightest(self, stored: float) -> float:
        """What the largest stored value means, in the band in which it means most."""
        return float((stored * self.gain + self.bias).max())

    def to_stored(self, values: Pixels) -> Pixels:
        """Bring values back to what the file would store for them.

        Args:
            values: pixels (C, H, W) as :meth:`measure` gives them.

        Returns:
            stored values, not rounded.
        """
        stored: Pixels = (values - self.bias) / self.gain
        return stored

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
