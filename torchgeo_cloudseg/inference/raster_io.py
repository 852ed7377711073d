"""Reading a scene row by row: optical and SAR on one grid, scaled, and where there is data."""

from __future__ import annotations

from contextlib import ExitStack, closing
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import rasterio
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window
from torch import Tensor

from ..datasets.errors import SceneError
from ..datasets.grid import nearest
from ..datasets.scene_spec import Range, SceneSpec
from ..transforms.rescale import Rescale
from .grid import coextensive, grid_of

#: Rows read at once where a whole scene is passed over.
SWEEP_ROWS = 512

#: Lower bound of GDAL's block cache, in bytes.
MIN_CACHE = 32 * 2**20

Pixels = NDArray[Any]


class Strip(NamedTuple):
    """Rows of a scene, ready for the network."""

    #: Optical image (C, rows, W), float32, 0..1.
    optical: Tensor
    #: SAR image (S, rows, W), float32, 0..1.
    sar: Tensor
    #: Where there is both optical and SAR data (rows, W), bool.
    valid: Tensor


class SceneReader:
    """An open pair of an optical and a SAR raster, read on the optical grid.

    SAR on a grid of the same extent (see :func:`~torchgeo_cloudseg.inference.grid.coextensive`)
    is taken pixel by pixel, without regard to a small offset, as in the training data. Any other
    SAR image is warped on the fly.

    Optical pixels without data, and ground that the SAR image does not cover, become the lower
    end of their range; NaN measurements of SAR become the mean of the scene, as in training.
    """

    def __init__(
        self,
        optical_path: str | Path,
        sar_path: str | Path,
        spec: SceneSpec,
        sar_resampling: str = 'nearest',
    ) -> None:
        """Open a scene.

        Args:
            optical_path: optical raster, anything that GDAL reads.
            sar_path: SAR raster.
            spec: bands, ranges and nodata.
            sar_resampling: name of the resampling where SAR must be warped.

        Raises:
            SceneError: if a file cannot be opened, has other bands or no place, or if the two do
                not overlap.
        """
        self.spec = spec
        self.optical_path, self.sar_path = str(optical_path), str(sar_path)
        self._files = ExitStack()
        with ExitStack() as files:
            # not as context managers: these would end GDAL's environment with the reader, which may
            # be in the midst of somebody else's
            self._optical = files.enter_context(closing(_open(self.optical_path)))
            self._sar = files.enter_context(closing(_open(self.sar_path)))
            _check_bands(self._optical, spec.optical_bands, 'optical', 'optical' in spec.exact)
            _check_bands(self._sar, spec.sar_bands, 'SAR', 'sar' in spec.exact)
            self.grid, self.sar_grid = grid_of(self._optical), grid_of(self._sar)
            self.coextensive = coextensive(self.grid, self.sar_grid)
            self._warped: WarpedVRT | None = None
            if not self.coextensive:
                self._check_overlap()
                warped = closing(self._warp(Resampling[sar_resampling]))
                self._warped = files.enter_context(warped)
            self._files = files.pop_all()
        self._rescale = Rescale({'image': spec.optical_range, 'image_sar': spec.sar_range})

    def __enter__(self) -> SceneReader:
        """Use as a context manager, which closes the files."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    @property
    def optical_dtype(self) -> str:
        """Data type of the optical file."""
        return str(self._optical.dtypes[0])

    @property
    def optical_nodata(self) -> float | None:
        """Stored value of optical pixels without data: the file's own, or the network's."""
        declared: float | None = self._optical.nodata
        return self.spec.optical_nodata if declared is None else declared

    @property
    def cache_bytes(self) -> int:
        """Block cache that holds two rows of blocks of both files, whatever their height."""
        size = 0
        for raster in (self._optical, self._sar):
            rows = max(shape[0] for shape in raster.block_shapes)
            if rows < raster.height:
                itemsize = np.dtype(raster.dtypes[0]).itemsize
                size += 2 * rows * raster.width * raster.count * itemsize
        return max(MIN_CACHE, size)

    def read(self, top: int, rows: int, padded_px: tuple[int, int] | None = None) -> Strip:
        """Read rows of the scene.

        Args:
            top: first row.
            rows: number of rows; those beyond the last one repeat it.
            padded_px: height and width of the padded scene; columns beyond the last one repeat
                it (defaults to the scene's own size).

        Returns:
            optical and SAR image, and where there is data.

        Raises:
            SceneError: if a file cannot be read.
        """
        width = self.grid.width if padded_px is None else padded_px[1]
        inside = min(rows, self.grid.height - top)
        optical, has_optical = self._read_optical(top, inside)
        sar, has_sar = self._read_sar(top, inside)
        if np.isnan(sar).any():
            sar = np.where(np.isnan(sar), np.float32(self._sar_mean), sar)
        scaled = self._rescale(
            {'image': torch.from_numpy(optical), 'image_sar': torch.from_numpy(sar)}
        )
        valid = torch.from_numpy(has_optical & has_sar)
        padding = (0, width - self.grid.width, 0, rows - inside)
        return Strip(
            _pad(scaled['image'], padding),
            # fill with the lower end of the range, where clipping cannot do it
            _pad(scaled['image_sar'] * torch.from_numpy(has_sar), padding),
            _pad(valid[None].float(), padding)[0] > 0,
        )

    def to_stored(self, image: Tensor) -> Tensor:
        """Map an optical image from 0..1 to stored units.

        Args:
            image: (C, H, W), 0..1.

        Returns:
            (C, H, W) in digital numbers.
        """
        stored: Tensor = self._rescale.inverse({'image': image.clamp(0, 1)})['image']
        return stored

    def _read_optical(self, top: int, rows: int) -> tuple[Pixels, NDArray[np.bool_]]:
        """Stored values, with the lower end of the range where there are none."""
        window = Window(0, top, self.grid.width, rows)
        bands = list(self.spec.optical_bands)
        try:
            stored = self._optical.read(bands, window=window)
            # a pixel of which one band is 0 is dark, not missing
            has_data = np.any(_mask(self._optical, bands, window), axis=0)
        except RasterioError as error:
            raise _unreadable(self.optical_path, top, rows, error) from error
        values = stored.astype(np.float32)
        if self._optical.nodata is None and self.spec.optical_nodata is not None:
            has_data &= (stored != self.spec.optical_nodata).any(axis=0)
        known = ~np.isnan(values)
        has_data &= known.any(axis=0)
        return _fill(values, known & has_data, self.spec.optical_range), has_data

    def _read_sar(self, top: int, rows: int) -> tuple[Pixels, NDArray[np.bool_]]:
        """SAR on the optical grid; NaN where a measurement is missing."""
        bands = list(self.spec.sar_bands)
        try:
            if self._warped is not None:
                window = Window(0, top, self.grid.width, rows)
                alpha = self._warped.colorinterp.index(ColorInterp.alpha) + 1
                *values, cover = self._warped.read([*bands, alpha], window=window)
                values, has_data = np.stack(values), cover > 0
            else:
                values, has_data = self._take_sar(bands, top, rows)
        except RasterioError as error:
            raise _unreadable(self.sar_path, top, rows, error) from error
        return values.astype(np.float32), has_data

    def _take_sar(self, bands: list[int], top: int, rows: int) -> tuple[Pixels, NDArray[np.bool_]]:
        """SAR pixel in which the center of each optical pixel lies, by position in the array."""
        take_rows = nearest(
            top, rows, self.sar_grid.height, Fraction(self.sar_grid.height, self.grid.height),
            Fraction(1),
        )  # fmt: skip
        take_cols = self._take_columns
        if take_rows is None or take_cols is None:
            raise ValueError(f'Rows {top} to {top + rows} lie outside the scene.')
        window = Window(0, take_rows.low, self.sar_grid.width, take_rows.high - take_rows.low)
        values = self._sar.read(bands, window=window)
        has_data = np.any(_mask(self._sar, bands, window), axis=0)
        places = np.ix_(take_rows.source, take_cols.source)
        return values[:, places[0], places[1]], has_data[places]

    @cached_property
    def _take_columns(self) -> Any:
        ratio = Fraction(self.sar_grid.width, self.grid.width)
        return nearest(0, self.grid.width, self.sar_grid.width, ratio, Fraction(1))

    @cached_property
    def _sar_mean(self) -> float:
        """Mean of the SAR image over all bands on the optical grid, as in the authors' code."""
        total, count = 0.0, 0
        for top in range(0, self.grid.height, SWEEP_ROWS):
            values, has_data = self._read_sar(top, min(SWEEP_ROWS, self.grid.height - top))
            known = has_data & ~np.isnan(values)
            total += float(values[known].sum(dtype=np.float64))
            count += int(known.sum())
        if not count:
            raise SceneError(self.sar_path, 'no measurement at all', 'some under the optical image')
        return total / count

    def _warp(self, resampling: Resampling) -> WarpedVRT:
        """SAR on the optical grid, with a mask of what it covers."""
        return WarpedVRT(
            self._sar,
            crs=self.grid.crs,
            transform=self.grid.transform,
            height=self.grid.height,
            width=self.grid.width,
            resampling=resampling,
            # rasterio makes no mask of it, but it tells what the image covers
            add_alpha=ColorInterp.alpha not in self._sar.colorinterp,
        )

    def _check_overlap(self) -> None:
        """Refuse images that lie elsewhere, or nowhere."""
        for path, grid, other in (
            (self.optical_path, self.grid, self.sar_grid),
            (self.sar_path, self.sar_grid, self.grid),
        ):
            if grid.crs is None:
                raise SceneError(
                    path,
                    f'no coordinate reference system and {grid.height} x {grid.width} pixels',
                    f'one, to find its place beside {other.height} x {other.width} pixels',
                    'Georeference the file, or bring both images to the same size.',
                )
        optical = self.grid.bounds
        sar = transform_bounds(self.sar_grid.crs, self.grid.crs, *self.sar_grid.bounds)
        apart = sar[0] >= optical[2] or sar[2] <= optical[0]
        if apart or sar[1] >= optical[3] or sar[3] <= optical[1]:
            raise SceneError(
                self.sar_path,
                f'a SAR image over {_text(sar)}',
                f'one that overlaps {self.optical_path} over {_text(optical)} ({self.grid.crs})',
                'Give a SAR image of the same place.',
            )


def _open(path: str) -> DatasetReader:
    try:
        return rasterio.open(path)
    except RasterioError as error:
        missing = '://' not in path and not path.startswith('/vsi') and not Path(path).exists()
        found = 'no such file' if missing else f'an unreadable file ({error})'
        raise SceneError(path, found, 'a raster', 'Check the path.') from error


def _check_bands(raster: DatasetReader, bands: tuple[int, ...], kind: str, exact: bool) -> None:
    masks = sum(
        color == ColorInterp.alpha and number not in bands
        for number, color in enumerate(raster.colorinterp, start=1)
    )
    if max(bands) > raster.count or (exact and raster.count - masks != len(bands)):
        raise SceneError(
            raster.name,
            f'{raster.count} band(s)',
            f'the {kind} bands {bands} that the network was trained on',
            f'Give the file that has them, or say which of its bands they are '
            f'(`{kind.lower()}_bands`, {len(bands)} of them).',
        )


def _mask(raster: DatasetReader, bands: list[int], window: Window) -> NDArray[np.bool_]:
    """Where a file says that there is data (C, rows, W).

    The fourth band of 8-bit files is often marked as alpha though it is a measurement. A band that
    the network looks at is no mask.
    """
    masks: NDArray[Any] = raster.read_masks(bands, window=window)
    if any(raster.colorinterp[band - 1] == ColorInterp.alpha for band in bands):
        by_alpha = [MaskFlags.alpha in raster.mask_flag_enums[band - 1] for band in bands]
        masks[by_alpha] = 255
    return masks > 0


def _text(bounds: tuple[float, ...]) -> str:
    return '({})'.format(', '.join(f'{value:.6g}' for value in bounds))


def _fill(values: Pixels, known: NDArray[np.bool_], ends: Range) -> Pixels:
    low = np.asarray(ends[0], dtype=np.float32)[:, None, None]
    return np.where(known, values, low)


def _pad(image: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    return F.pad(image[None], padding, mode='replicate')[0] if any(padding) else image


def _unreadable(path: str, top: int, rows: int, error: Exception) -> SceneError:
    return SceneError(
        path,
        # the error itself only says that there is another one
        f'unreadable pixels under rows {top} to {top + rows} of the scene '
        f'({error.__cause__ or error})',
        'a complete raster',
        'Restore the file from its source and map it anew; if it is unharmed, and only the '
        'connection was lost, run again with resume: finished rows are kept.',
    )
