"""A random field over the unbounded plane that can be evaluated anywhere, at any resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .lattice import Axis
from .splines import View, random_splines


@dataclass(frozen=True)
class Kernel:
    """What a lattice of white coefficients, at spacing 1, contributes.

    Attributes:
        variance: its variance, per axis.
        wavelength: where its energy per octave is highest.
    """

    variance: float
    wavelength: float


#: Plain cubic B-splines: the integral of sinc(k)^8, and where k^2 sinc(k)^8 is highest.
SPLINE = Kernel(151 / 315, 3.7)

#: The same after all the filters of the refinements, (4 + 2 cos(2 pi k / 2^j)) / 6 for j = 0, 1...
FILTERED = Kernel(0.31993, 5.55)

#: Standard deviation of hashed 32-bit integers.
HASH_DEVIATION = 2.0**31 / math.sqrt(3)

#: Positions are rounded to this part of the finest lattice's spacing, a sixteenth of a pixel or
#: so, such that spline matrices can be used again.
PHASES = 32


@dataclass(frozen=True)
class Grid:
    """Pixels of an image on the ground.

    Attributes:
        height: rows.
        width: columns.
        pixel_size: meters per row and per column.
        top: distance of the upper edge from the origin, in meters, downwards.
        left: distance of the left edge from the origin, in meters, to the right.
    """

    height: int
    width: int
    pixel_size: tuple[float, float]
    top: float = 0.0
    left: float = 0.0

    def resampled(self, height: int, width: int) -> Grid:
        """Another number of pixels on the same ground.

        Args:
            height: rows.
            width: columns.

        Returns:
            the grid.
        """
        if (height, width) == (self.height, self.width):
            return self
        rows, columns = self.pixel_size
        pixel_size = rows * self.height / height, columns * self.width / width
        return Grid(height, width, pixel_size, self.top, self.left)

    def window(self, row: int, column: int, height: int, width: int) -> Grid:
        """Part of the grid.

        Args:
            row: first row.
            column: first column.
            height: rows.
            width: columns.

        Returns:
            the grid of the window.
        """
        rows, columns = self.pixel_size
        top, left = self.top + row * rows, self.left + column * columns
        return Grid(height, width, self.pixel_size, top, left)


class LatticeSum(NamedTuple):
    """Lattices that add up to a field on one grid.

    Attributes:
        finest: doublings of the finest lattice of the draw that make the finest of these.
        weights: factors from hashed integers to coefficients, from coarse to fine.
        filtered: number of lattices, from the coarsest, that are filtered.
    """

    finest: int
    weights: tuple[float, ...]
    filtered: int


@dataclass(frozen=True)
class PlaneNoise:
    """Gaussian-like noise of unit variance with a given spectrum, over the unbounded plane.

    The field is a sum of cubic B-splines on nested square lattices, each half as wide as the one
    before; coefficients are hashed from the lattice position. So any part can be evaluated alone,
    on any grid, and parts fit together. The lattices are added up from coarse to fine by spline
    subdivision, and only the finest is interpolated to pixels. Coefficients of all but the finest
    are smoothed, so that the lattices do not show; the finest keeps its detail.

    Attributes:
        feature_size: outer scale in meters: the spectrum is flat for longer waves.
        exponents: energy spectrum E(k) ~ k^-exponents[0] at scales above *break_scale* and
            k^-exponents[1] below.
        break_scale: wavelength in meters at which the exponent changes.
        finest: spacing of the finest lattice of the draw in meters. Grids with smaller pixels
            show further ones.
    """

    feature_size: float
    exponents: tuple[float, float]
    break_scale: float
    finest: float

    def energy(self, wavelength: float) -> float:
        """Relative energy per octave, k E(k).

        Args:
            wavelength: in meters.

        Returns:
            energy of any unit.
        """
        large, small = self.exponents
        scale, knee = self.feature_size / wavelength, self.break_scale / wavelength
        energy = scale**2 * math.pow(1 + scale**2, -(large + 1) / 2)
        return energy * math.pow(1 + knee**2, (large - small) / 2)

    @cached_property
    def coarsest(self) -> int:
        """Number of doublings from the finest lattice to the coarsest."""
        longest = FILTERED.wavelength * self.finest
        return max(0, math.ceil(math.log2(2 * self.feature_size / longest)))

    def lattices(self, pixel_size: float) -> tuple[int, ...]:
        """Lattices that a grid can show, as doublings of the finest, from coarse to fine.

        Args:
            pixel_size: meters per pixel.

        Returns:
            integers, the last one negative for grids finer than that of the draw; at least one.
        """
        # finer than half a pixel would alias, coarser than a pixel would leave detail out
        last = math.floor(math.log2(1.0001 * pixel_size / self.finest))
        return tuple(range(self.coarsest, min(last, self.coarsest) - 1, -1))

    @lru_cache(maxsize=64)  # noqa: B019  # keeps a few instances of four numbers alive
    def sums(self, pixel_size: float, smoothing: int = 0) -> LatticeSum:
        """How lattices add up to the field on a grid.

        Args:
            pixel_size: meters per pixel.
            smoothing: number of finest lattices to leave out.

        Returns:
            the lattices and their weights.
        """
        lattices = self.lattices(pixel_size)
        lattices = lattices[: max(1, len(lattices) - smoothing)]
        filtered = sum(lattice > 0 for lattice in lattices)
        return LatticeSum(lattices[-1], tuple(map(self._weight, lattices)), filtered)

    def _weight(self, lattice: int) -> float:
        """Factor from hashed integers to coefficients, for a field of unit variance in all."""
        total = sum(self._variance(other) for other in range(self.coarsest + 1))
        kernel = FILTERED if lattice > 0 else SPLINE
        return math.sqrt(self._variance(lattice) / total) / (HASH_DEVIATION * kernel.variance)

    def _variance(self, lattice: int) -> float:
        """Share of a lattice in the variance, of any unit: energy per octave times octaves."""
        kernel = FILTERED if lattice > 0 else SPLINE
        octaves = math.log2(2 * FILTERED.wavelength / SPLINE.wavelength) if lattice == 0 else 1
        return octaves * self.energy(kernel.wavelength * self.finest * 2.0**lattice)

    def render(self, seeds: Sequence[int], grid: Grid) -> Tensor:
        """Evaluate the field at pixel centers.

        Args:
            seeds: one seed per sample (B).
            grid: where.

        Returns:
            float32 tensor (B, H, W) on the CPU, with mean 0 and variance 1 over many seeds.
        """
        sums = self.sums(min(grid.pixel_size))
        view = self._view(sums, grid, (0.0, 0.0))
        fields = (random_splines(seed, sums.weights, sums.filtered, [view]) for seed in seeds)
        return _stack([field for (field,) in fields])

    def render_pair(
        self,
        seeds: Sequence[int],
        grid: Grid,
        shifts: Sequence[tuple[float, float]],
        smoothing: int,
    ) -> tuple[Tensor, Tensor]:
        """Evaluate the field, and once more where it is moved and smooth.

        Args:
            seeds: one seed per sample (B).
            grid: where.
            shifts: meters by which each sample is moved down and to the right (B).
            smoothing: number of finest lattices that the moved field lacks.

        Returns:
            float32 tensors (B, H, W) on the CPU: the field, and the moved one.
        """
        sums, fewer = (self.sums(min(grid.pixel_size), count) for count in (0, smoothing))
        sharp = self._view(sums, grid, (0.0, 0.0))
        pairs = [
            random_splines(
                seed, sums.weights, sums.filtered, [sharp, self._view(fewer, grid, shift)]
            )
            for seed, shift in zip(seeds, shifts, strict=True)
        ]
        field, moved = zip(*pairs, strict=True)
        return _stack(field), _stack(moved)

    def _view(self, sums: LatticeSum, grid: Grid, shift: tuple[float, float]) -> View:
        """Pixel centers on the finest of some lattices."""
        (height, width), (down, right) = grid.pixel_size, shift
        rows = self._axis(sums.finest, grid.top - down, height, grid.height)
        columns = self._axis(sums.finest, grid.left - right, width, grid.width)
        return View(rows, columns, len(sums.weights))

    def _axis(self, lattice: int, edge: float, pixel_size: float, count: int) -> Axis:
        """Pixel centers along one axis on a lattice; *edge* is that of the first pixel."""
        spacing = self.finest * 2.0**lattice
        # nodes of the finest lattice are pixel centers of the draw, where splines keep most detail
        first = (edge - 0.5 * self.finest + 0.5 * pixel_size) / spacing
        return Axis(round(first * PHASES) / PHASES, pixel_size / spacing, count, smooth=lattice > 0)


def _stack(fields: Sequence[npt.NDArray[np.float32]]) -> Tensor:
    """Tensor (B, H, W) of B arrays (H, W)."""
    return torch.from_numpy(fields[0][None] if len(fields) == 1 else np.stack(fields))
