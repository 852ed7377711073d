"""Reading a scene row by row: optical and SAR on one grid, scaled, and where there is data."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..._choices import SarUnit
from ...datasets.band_choice import choose_bands
from ...datasets.scene_spec import SceneSpec
from ...rasters import (
    Grid,
    Image,
    RasterLayer,
    Resampling,
    SceneError,
    has_place,
    name_of,
    nearest,
    overlap,
    place_text,
)
from ...transforms.rescale import Rescale
from ..windows.sliding import Images
from .plausibility import NoDataError, check_values

logger = logging.getLogger(__name__)

#: How many dB a power of ten is, by what values of a SAR image are.
DECIBELS = {'power': 10.0, 'amplitude': 20.0}

#: Rows read at once where a whole scene is passed over.
SWEEP_ROWS = 512

#: Rows read at once to see whether there is data.
CHECKED_ROWS = 64

#: Lower bound of GDAL's block cache, in bytes.
MIN_CACHE = 32 * 2**20

Pixels = NDArray[Any]


class ScenePairReader:
    """An open pair of an optical and a SAR raster, read on the optical grid, or on another one.

    SAR on a grid of the same extent (see :meth:`~torchgeo_cloudseg.rasters.Grid.covers_like`)
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
        sar_resampling: Resampling = 'nearest',
        sar_unit: SarUnit | None = None,
        onto: Image | None = None,
    ) -> None:
        """Open a scene.

        Args:
            optical_path: optical raster, anything that GDAL reads.
            sar_path: SAR raster.
            spec: bands, ranges and nodata.
            sar_resampling: name of the resampling where SAR must be warped.
            sar_unit: what values of the SAR image are (defaults to what the file says, else to
                those of the training); a network that was trained on dB gets dB.
            onto: image of another date, on whose grid the scene is read. Pixels of as many rows
                and columns over the same ground are taken as they are; others are warped to it,
                optical ones bilinearly.

        Raises:
            SceneError: if a file cannot be opened, has other bands or no place, or if the two do
                not overlap.
        """
        with ExitStack() as files:
            self.optical = files.enter_context(closing(Image(optical_path)))
            self.sar = files.enter_context(closing(Image(sar_path)))
            spec = self._choose_bands(spec)
            _check_bands(self.optical, spec.optical_bands, 'optical', 'optical' in spec.exact)
            _check_bands(self.sar, spec.sar_bands, 'SAR', 'sar' in spec.exact)
            #: What is expected of these files, with the numbers of the bands that they have.
            self.spec = spec
            unit = _unit(spec, self.optical)
            self.optical.select(spec.optical_bands, spec.optical_nodata, unit)
            wants_decibels = min(spec.sar_range[0]) < 0
            found = sar_unit or self.sar.unit_of(spec.sar_bands)
            decibels = DECIBELS.get(found) if wants_decibels else None
            self.sar.select(spec.sar_bands, spec.sar_nodata, decibels=decibels)
            #: Where the pixels that are read lie.
            self.grid = self.optical.grid
            if onto is not None and not _same_pixels(onto.grid, self.grid):
                _check_overlap(self.optical, onto, 'an optical image', 'dates')
                self.grid = onto.grid
                self.optical.warp_to(self.grid, 'bilinear')
            #: Whether pixels of both images correspond by their position in the array.
            self.coextensive = self.grid.covers_like(self.sar.grid)
            self._by_position = self.coextensive and sar_resampling == 'nearest'
            if not self.coextensive:
                _check_overlap(self.sar, self.optical, 'a SAR image', 'a SAR image')
                self.sar.warp_to(self.grid, sar_resampling)
            elif not self._by_position:
                self.sar.warp_to(*_as_one(self.grid, self.sar.grid, sar_resampling))
            self._files = files.pop_all()
        self._rescale = Rescale({'image': spec.optical_range, 'image_sar': spec.sar_range})

    def _choose_bands(self, spec: SceneSpec) -> SceneSpec:
        """Find bands by their names, where both sides know them."""
        changes: dict[str, Any] = {}
        exact = list(spec.exact)
        for kind, image in {'optical': self.optical, 'sar': self.sar}.items():
            names, described = getattr(spec, f'{kind}_names'), image.raster.descriptions
            looked_at = names and kind in spec.images
            found = choose_bands(image.path, described, names) if looked_at else None
            if found:
                changes[f'{kind}_bands'] = found
                exact = [other for other in exact if other != kind]
        return replace(spec, **changes, exact=tuple(exact))

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    @property
    def reconstruction_layer(self) -> RasterLayer:
        """A raster of the optical bands, as they are stored in the optical file."""
        raster, spec = self.optical.raster, self.spec
        own = [band - 1 for band in spec.optical_bands]
        named = spec.optical_names or [f'band {band}' for band in spec.optical_bands]
        declared = raster.nodatavals[own[0]]
        return RasterLayer(
            bands=tuple(raster.descriptions[i] or name for i, name in zip(own, named, strict=True)),
            dtype=self.optical.header.dtype,
            nodata=spec.optical_nodata if declared is None else declared,
            overviews='average',
            scales=tuple(raster.scales[i] for i in own),
            offsets=tuple(raster.offsets[i] for i in own),
        )

    @property
    def cache_bytes(self) -> int:
        """Block cache that holds two rows of blocks of both files, whatever their height."""
        size = self.optical.two_rows_of_blocks + self.sar.two_rows_of_blocks
        return max(MIN_CACHE, size)

    def check_values(self, max_clipped: float) -> None:
        """Refuse images without data, and those whose values cannot be those of the training.

        Args:
            max_clipped: share of values outside of their range that is accepted.

        Raises:
            NoDataError: if not one pixel has data of both.
            SceneError: with what the values may be, and what to do about it.
        """
        if 'optical' in self.spec.images:
            check_values(self.optical, 'optical', self.spec.optical_range, max_clipped)
        if 'sar' in self.spec.images:
            check_values(self.sar, 'SAR', self.spec.sar_range, max_clipped)
        height = self.grid.height
        # most often it is seen in the middle
        for top in (height // 2, *range(0, height, CHECKED_ROWS)):
            rows = min(CHECKED_ROWS, height - top)
            if (self._read_optical(top, rows)[1] & self._read_sar(top, rows)[1]).any():
                return
        found = f'no pixel of which both images have data ({name_of(self.optical.path)})'
        remedy = 'Give images that have data of the same place.'
        raise NoDataError(self.sar.path, found, 'some', remedy)

    def read(self, top: int, rows: int, width: int) -> Images:
        """Read rows of the scene.

        Args:
            top: first row.
            rows: number of rows; those beyond the last one repeat it.
            width: number of columns; those beyond the last one repeat it.

        Returns:
            a batch of one: optical and SAR image, 0..1, and where there is data of both.

        Raises:
            SceneError: if a file cannot be read.
        """
        inside = min(rows, self.grid.height - top)
        optical, has_optical = self._read_optical(top, inside)
        sar, has_sar = self._read_sar(top, inside)
        if np.isnan(sar).any():
            sar = np.where(np.isnan(sar), np.float32(self._sar_mean), sar)
        images = {'image': torch.from_numpy(optical), 'image_sar': torch.from_numpy(sar)}
        scaled = self._rescale(images)
        # fill with the lower end of the range, where clipping cannot do it
        ground = scaled['image_sar'] * torch.from_numpy(has_sar)
        valid = torch.from_numpy(has_optical & has_sar).float()
        optical_rows, sar_rows, valid_rows = (
            F.pad(x[None], (0, width - self.grid.width, 0, rows - inside), mode='replicate')
            for x in (scaled['image'], ground, valid[None])
        )
        return Images(optical_rows, sar_rows, valid_rows[0] > 0)

    def to_stored(self, image: Tensor) -> Tensor:
        """Map an optical image from 0..1 to what the optical file stores.

        Args:
            image: (C, H, W), 0..1.

        Returns:
            (C, H, W) in digital numbers.
        """
        values: Tensor = self._rescale.inverse({'image': image.clamp(0, 1)})['image']
        if not self.optical.is_scaled:
            return values
        return torch.from_numpy(self.optical.to_stored(values.numpy()))

    def _read_optical(self, top: int, rows: int) -> tuple[Pixels, NDArray[np.bool_]]:
        """Stored values, with the lower end of the range where there are none."""
        values, has_data = self.optical.measure((top, top + rows))
        known = ~np.isnan(values)
        has_data &= known.any(axis=0)
        low = np.asarray(self.spec.optical_range[0], np.float32)[:, None, None]
        return np.where(known, values, low), has_data

    def _read_sar(self, top: int, rows: int) -> tuple[Pixels, NDArray[np.bool_]]:
        """SAR on the optical grid; NaN where a measurement is missing.

        On a grid of the same extent it is the pixel in which the center of each optical pixel lies,
        by position in the array.

        Returns:
            values, and where they are measurements.
        """
        if not self._by_position:
            return self.sar.measure((top, top + rows))
        height, width, one = self.sar.grid.height, self.sar.grid.width, Fraction(1)
        below = nearest(top, rows, height, Fraction(height, self.grid.height), one)
        along = nearest(0, self.grid.width, width, Fraction(width, self.grid.width), one)
        if below is None or along is None:
            raise ValueError(f'Rows {top} to {top + rows} lie outside the scene.')
        values, has_data = self.sar.measure((below.low, below.high))
        places = np.ix_(below.source, along.source)
        return values[:, places[0], places[1]], has_data[places]

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
            found = 'no measurement at all under the optical image'
            raise SceneError(self.sar.path, found, 'pixels with data')
        return total / count


def _same_pixels(first: Grid, second: Grid) -> bool:
    """Whether pixels of two optical images correspond one to one, but for a small offset."""
    sizes = [(grid.height, grid.width) for grid in (first, second)]
    return sizes[0] == sizes[1] and first.covers_like(second)


def _check_overlap(image: Image, beside: Image, kind: str, wanted: str) -> None:
    """Refuse an image that lies elsewhere than another one, or nowhere."""
    for one, other in ((beside, image), (image, beside)):
        if not has_place(one.grid):
            raise SceneError(
                one.path,
                f'no coordinate reference system and {one.grid.height} x {one.grid.width} pixels',
                f'one, to find its place beside {name_of(other.path)}',
                'Georeference the file, or bring both images to the same size.',
            )
    there = f'{name_of(beside.path)} ({place_text(beside.grid)})'
    found = f'{kind} over {place_text(image.grid)}'
    try:
        together = overlap(beside.grid, image.grid)
    except ValueError as error:
        raise SceneError(
            image.path,
            f'{found}, from which no way leads to the CRS of the optical image ({error})',
            f'a CRS that can be related to that of {there}',
            'Give both images in a CRS upon the earth.',
        ) from error
    if not together:
        expected = f'one that overlaps {there}'
        raise SceneError(image.path, found, expected, f'Give {wanted} of the same place.')


def _unit(spec: SceneSpec, image: Image) -> tuple[ArrayLike, ArrayLike]:
    """Reflectance per stored unit of the training, and that of a stored 0."""
    if spec.optical_scale:
        return spec.optical_scale, spec.optical_offset
    low, high = (np.asarray(end, np.float64) for end in spec.optical_range)
    if any(image.raster.scales[band - 1] != 1 for band in spec.optical_bands):
        logger.warning(
            '%s declares a scale, but the checkpoint does not know the unit of its training: '
            'reflectance 0 and 1 are taken to be the ends of its range, %s and %s.',
            name_of(image.path), *spec.optical_range,
        )  # fmt: skip
    return 1 / (high - low), -low / (high - low)


def _as_one(optical: Grid, sar: Grid, resampling: Resampling) -> tuple[Grid, Resampling, Grid]:
    """Grids of images that cover the same ground, without the small offset between them."""
    # where they lie does not matter, as long as it is the same
    here = Grid.from_bounds('EPSG:3857', (0, 0, 1, 1), (optical.height, optical.width))
    return here, resampling, Grid.from_bounds(here.crs, here.bounds, (sar.height, sar.width))


def _check_bands(image: Image, bands: tuple[int, ...], kind: str, exact: bool) -> None:
    header = image.header
    measured = header.count - len(set(header.alpha_bands) - set(bands))
    if max(bands) > header.count or (exact and measured != len(bands)):
        raise SceneError(
            image.path,
            f'{header.count} band(s)',
            f'the {kind} bands {bands} that the network was trained on',
            f'Give the file that has them, or say which of its bands they are '
            f'(`{kind.lower()}_bands`, {len(bands)} of them).',
        )
