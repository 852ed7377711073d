"""Gaussian random fields with the spectrum of clouds, made by Fourier transform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, reduce
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from ..._random import FIELD_STREAM, seeded_generator

#: Tori repeat themselves: they bear waves up to this share of the place only, and are larger than
#: the place by as much, so that no edge of it resembles the opposite one.
WAVE_SHARE = 1 / 6

#: Shortest limit between fine and coarse tori, in pixels.
LEAST_CROSSOVER = 16

#: Sides of fine tori in pixels are multiples of this, which makes for a fast Fourier transform.
SIDE_UNIT = 20

#: Largest sides of fine tori, in pixels. Larger places get a second set of tori, of sides that are
#: incommensurate: what repeats itself in one of them meets something else in the other.
LARGEST_SIDES = (1536, 1944)

#: Standard deviation of whole numbers of 8 bits.
BYTE_DEVIATION = math.sqrt((2**16 - 1) / 12)

#: Side of coarse tori in nodes, and how much longer the waves of the next coarser one are.
COARSE_SIDE, GROWTH = 48, 4


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

    def centers(self, axis: int) -> Tensor:
        """Distances of pixel centers from the origin.

        Args:
            axis: 0 for rows, 1 for columns.

        Returns:
            meters, downwards (H,) or to the right (W,), float64.
        """
        edge, count = ((self.top, self.height), (self.left, self.width))[axis]
        return edge + (torch.arange(count, dtype=torch.float64) + 0.5) * self.pixel_size[axis]

    def resampled(self, height: int, width: int) -> Grid:
        """Another number of pixels on the same ground.

        Args:
            height: rows.
            width: columns.

        Returns:
            the grid.
        """
        rows, columns = self.pixel_size
        pixel_size = rows * (self.height / height), columns * (self.width / width)
        return replace(self, height=height, width=width, pixel_size=pixel_size)

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


class Spectrum(NamedTuple):
    """How the energy of a field is shared out among wavelengths.

    Attributes:
        feature_size: outer scale in meters: the spectrum is flat for longer waves.
        exponents: energy spectrum E(k) ~ k^-exponents[0] at scales above *break_scale* and
            k^-exponents[1] below.
        break_scale: wavelength in meters at which the exponent changes.
    """

    feature_size: float
    exponents: tuple[float, float]
    break_scale: float

    def density(self, wavenumber: Tensor) -> Tensor:
        """Energy per area of the plane of wavenumbers, E(k) / k.

        Args:
            wavenumber: in cycles per meter, of any shape.

        Returns:
            energy, 1 for the longest waves.
        """
        large, small = self.exponents
        scales = self.feature_size, self.break_scale
        outer, inner = (1 + (scale * wavenumber) ** 2 for scale in scales)
        return outer ** (-(large + 1) / 2) * inner ** ((large - small) / 2)


class Torus(NamedTuple):
    """A periodic part of the plane on which waves are drawn.

    Node (0, 0) is the center of the first pixel of the place.

    Attributes:
        nodes: their number along rows and columns, both even.
        spacing: meters between them.
        shortest: wavelength in meters; it bears longer waves only,
        longest: up to this one.
    """

    nodes: tuple[int, int]
    spacing: tuple[float, float]
    shortest: float
    longest: float

    def energy(self, spectrum: Spectrum) -> Tensor:
        """Squared amplitude of each wave, of any unit: float64 tensor (N, M / 2 + 1)."""
        down, across = _wavenumbers(self)
        wavenumber = down[:, None].hypot(across)
        energy = spectrum.density(wavenumber) / math.prod(self.nodes) / math.prod(self.spacing)
        energy[(wavenumber * self.shortest >= 1) | (wavenumber < 1 / self.longest)] = 0
        # the shortest wave of all has nodes for its crests, but none for what lies between
        energy[self.nodes[0] // 2] = energy[:, -1] = 0
        # others stand for their mirror images, too, which makes four times the variance
        energy[:, 0] *= 2
        return energy


@lru_cache(maxsize=8)  # a scene takes some 25 MB
def tori(
    spectrum: Spectrum, grid: Grid, device: torch.device
) -> tuple[tuple[Torus, ...], tuple[Tensor, ...]]:
    """The tori that bear the waves of a place, and the amplitudes of these.

    Args:
        spectrum: of the field.
        grid: pixels of the place.
        device: where amplitudes are wanted.

    Returns:
        the tori, from fine to coarse, and for each a float32 tensor (N, M / 2 + 1, 2) such that the
        field has variance 1 if real and imaginary parts of its coefficients are these times
        random bytes.
    """
    shape, pixel = (grid.height, grid.width), grid.pixel_size
    extent = max(pixels * size for pixels, size in zip(shape, pixel, strict=True))
    limit = WAVE_SHARE * min(extent, LARGEST_SIDES[0] * min(pixel))
    crossover = max(LEAST_CROSSOVER * max(pixel), limit)
    sides = [
        SIDE_UNIT * math.ceil((pixels + crossover / size) / SIDE_UNIT)
        for pixels, size in zip(shape, pixel, strict=True)
    ]
    # coarse tori bear waves from these lengths on; the coarsest one is as large as it must be
    waves = [crossover]
    while waves[-1] * COARSE_SIDE / 2 < max(4 * spectrum.feature_size, 2 * extent):
        waves.append(GROWTH * waves[-1])
    parts = []
    for largest in LARGEST_SIDES if max(sides) > LARGEST_SIDES[0] else LARGEST_SIDES[:1]:
        parts.append(Torus((min(sides[0], largest), min(sides[1], largest)), pixel, 0.0, crossover))
        for wave, longest in pairwise([*waves, math.inf]):
            spacing = wave / 2 * largest / LARGEST_SIDES[0]
            nodes = COARSE_SIDE, COARSE_SIDE
            parts.append(Torus(nodes, (spacing, spacing), wave, longest))
    energies = [torus.energy(spectrum) for torus in parts]
    variance = sum(float(4 * energy.sum() - 3 * energy[:, 0].sum()) for energy in energies)
    scaled = [(energy / variance).sqrt().float() / BYTE_DEVIATION for energy in energies]
    return tuple(parts), tuple(torch.stack([part, part], dim=-1).to(device) for part in scaled)


@dataclass(frozen=True, eq=False)
class RandomField:
    """Gaussian noise of unit variance with a given spectrum, one field per sample (B).

    It is a sum of waves and can be evaluated anywhere, on any grid; parts fit together. Waves are
    borne by tori: a fine one, with nodes at the pixels of the place for which the field is drawn,
    and coarser ones for longer waves. The fine one is evaluated by a fast Fourier transform at its
    nodes, everything else by the sums themselves, which are separable.

    Attributes:
        parts: tori, from fine to coarse.
        coefficients: for each, those of its waves: complex64 tensor (B, N, M / 2 + 1).
        tables: values at the nodes (B, N, M) of tori for which they were asked.
    """

    parts: tuple[Torus, ...]
    coefficients: tuple[Tensor, ...]
    tables: dict[Torus, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def draw(
        cls,
        spectrum: Spectrum,
        grid: Grid,
        seeds: Sequence[int],
        device: torch.device | str = 'cpu',
        seeded: bool = True,
    ) -> Self:
        """Draw fields over a place.

        Args:
            spectrum: of the fields.
            grid: pixels of the place, from the origin.
            seeds: one per sample (B).
            device: where to compute.
            seeded: whether noise follows from the seeds, on all devices alike, which takes the CPU
                to draw it; False to draw it from PyTorch's global generator on the device.

        Returns:
            the fields.
        """
        parts, amplitudes = tori(spectrum, grid, torch.device(device))
        generators = [seeded_generator(seed, FIELD_STREAM) for seed in seeds]
        coefficients = []
        for amplitude in amplitudes:
            shape = len(seeds), *amplitude.shape
            if seeded:
                count = amplitude.numel()
                drawn = np.stack([np.frombuffer(g.bytes(count), np.int8) for g in generators])
                noise = torch.from_numpy(drawn).to(device, non_blocking=True).view(shape)
            else:
                noise = torch.randint(-128, 128, shape, dtype=torch.int8, device=device)
            # whatever the distribution of coefficients, that of sums of hundreds of waves is normal
            numbers = noise.float().add_(0.5).mul_(amplitude)
            coefficients.append(torch.view_as_complex(numbers))
        return cls(parts, tuple(coefficients))

    def __getitem__(self, samples: slice) -> Self:
        """The fields of some samples."""
        return type(self)(self.parts, tuple(part[samples] for part in self.coefficients))

    def moved(self, down: Tensor, right: Tensor, blur: float) -> Self:
        """The fields at another place, and smooth.

        Args:
            down: meters by which each sample is moved downwards, float64 tensor (B,).
            right: likewise, to the right.
            blur: standard deviation of the Gaussian that smooths them, in meters.

        Returns:
            the fields.
        """
        moved = []
        for torus, coefficients in zip(self.parts, self.coefficients, strict=True):
            waves = _wavenumbers(torus, down.device)
            rows, columns = (
                (-2 * math.pi * k * (math.pi * blur**2 * k + 1j * shift[:, None])).exp()
                for shift, k in zip((down, right), waves, strict=True)
            )
            turned = coefficients * rows.to(coefficients)[:, :, None]
            moved.append(turned.mul_(columns.to(coefficients)[:, None]))
        return type(self)(self.parts, tuple(moved))

    def on(self, grid: Grid) -> Tensor:
        """Evaluate the fields at pixel centers.

        Args:
            grid: where.

        Returns:
            float32 tensor (B, H, W), with mean 0 and variance 1 over many seeds.
        """
        values = []
        for torus, coefficients in zip(self.parts, self.coefficients, strict=True):
            top, left = grid.top / torus.spacing[0], grid.left / torus.spacing[1]
            offset = max(abs(top - round(top)), abs(left - round(left)))
            if grid.pixel_size == torus.spacing and offset < 1e-4:  # pixels are nodes, one by one
                if torus not in self.tables:
                    table = torch.fft.irfft2(coefficients, s=torus.nodes, norm='forward')
                    self.tables[torus] = table
                rows = _cut(self.tables[torus], 1, round(top), grid.height)
                values.append(_cut(rows, 2, round(left), grid.width))
                continue
            down, across = _waves(torus, grid, coefficients.device)
            # the real part of a product of complex numbers, as a product of real matrices
            rows = torch.view_as_real(down @ coefficients).flatten(-2)
            with torch.autocast(rows.device.type, enabled=False):
                values.append(rows @ across)
        return reduce(torch.add, values)


def _cut(table: Tensor, axis: int, first: int, count: int) -> Tensor:
    """Rows or columns of a table that repeats itself."""
    side = table.shape[axis]
    first %= side
    if first + count <= side:
        return table.narrow(axis, first, count)
    return table.index_select(axis, torch.arange(first, first + count, device=table.device) % side)


@lru_cache(maxsize=128)
def _wavenumbers(torus: Torus, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Cycles per meter along rows (N,) and columns (M / 2 + 1,), float64."""
    (rows, columns), (down, across) = torus.nodes, torus.spacing
    return (
        torch.fft.fftfreq(rows, down, dtype=torch.float64, device=device),
        torch.fft.rfftfreq(columns, across, dtype=torch.float64, device=device),
    )


@lru_cache(maxsize=16)
def _waves(torus: Torus, grid: Grid, device: torch.device) -> tuple[Tensor, Tensor]:
    """Waves at pixels: along rows, complex64 tensor (H, N), along columns, float32 (M + 2, W).

    The latter has what real and imaginary parts of coefficients are multiplied by.

    Returns:
        both tensors.
    """
    down, across = (
        2 * math.pi * torch.outer(grid.centers(axis) - torus.spacing[axis] / 2, wavenumbers)
        for axis, wavenumbers in enumerate(_wavenumbers(torus))
    )
    parts = torch.stack([across.cos(), -across.sin()], dim=-1)
    parts[:, 1:] *= 2  # each stands for its mirror image, too
    rows = (1j * down).exp().to(device, torch.complex64)
    return rows, parts.flatten(1).T.contiguous().to(device, torch.float32)
