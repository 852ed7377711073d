"""Gaussian random fields with the spectrum of clouds, made by Fourier transform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..._random import FIELD_STREAM, seeded_generator

Array = npt.NDArray[np.float64]

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

    def centers(self, axis: int) -> Array:
        """Distances of pixel centers from the origin.

        Args:
            axis: 0 for rows, 1 for columns.

        Returns:
            meters, downwards (H,) or to the right (W,).
        """
        edge, count = ((self.top, self.height), (self.left, self.width))[axis]
        return edge + (np.arange(count) + 0.5) * self.pixel_size[axis]

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

    def density(self, wavenumber: Array) -> Array:
        """Energy per area of the plane of wavenumbers, E(k) / k.

        Args:
            wavenumber: in cycles per meter, of any shape.

        Returns:
            energy, 1 for the longest waves.
        """
        large, small = self.exponents
        outer, inner = (self.feature_size * wavenumber) ** 2, (self.break_scale * wavenumber) ** 2
        energy: Array = (1 + outer) ** (-(large + 1) / 2) * (1 + inner) ** ((large - small) / 2)
        return energy


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

    def wavenumbers(self) -> tuple[Array, Array]:
        """Cycles per meter along rows (N,) and columns (M / 2 + 1,)."""
        (rows, columns), (down, across) = self.nodes, self.spacing
        return np.fft.fftfreq(rows, down), np.fft.rfftfreq(columns, across)

    def energy(self, spectrum: Spectrum) -> Array:
        """Energy of each wave: array (N, M / 2 + 1)."""
        down, across = self.wavenumbers()
        wavenumber = np.hypot(down[:, None], across)
        energy = spectrum.density(wavenumber) / math.prod(self.nodes) / math.prod(self.spacing)
        energy[(wavenumber * self.shortest >= 1) | (wavenumber < 1 / self.longest)] = 0
        # the shortest wave of all has nodes for its crests, but none for what lies between
        energy[self.nodes[0] // 2] = energy[:, -1] = 0
        return energy


@lru_cache(maxsize=32)
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
    longest_limit = WAVE_SHARE * LARGEST_SIDES[0] * min(pixel)
    crossover = max(LEAST_CROSSOVER * max(pixel), min(WAVE_SHARE * extent, longest_limit))
    sides = [
        SIDE_UNIT * math.ceil((pixels + crossover / size) / SIDE_UNIT)
        for pixels, size in zip(shape, pixel, strict=True)
    ]
    chosen = []
    for largest in LARGEST_SIDES if max(sides) > LARGEST_SIDES[0] else LARGEST_SIDES[:1]:
        rows, columns = (min(side, largest) for side in sides)
        chosen.append(Torus((rows, columns), pixel, 0.0, crossover))
        shortest, reach = crossover, 0.0
        while reach < max(4 * spectrum.feature_size, 2 * extent):
            reach = shortest * COARSE_SIDE / 2 * largest / LARGEST_SIDES[0]
            spacing = reach / COARSE_SIDE
            nodes = (COARSE_SIDE, COARSE_SIDE)
            chosen.append(Torus(nodes, (spacing, spacing), shortest, GROWTH * shortest))
            shortest *= GROWTH
        chosen[-1] = chosen[-1]._replace(longest=math.inf)
    energies = [torus.energy(spectrum) for torus in chosen]
    # waves and their mirror images are counted once, except those that are constant along rows
    total = sum(2 * energy.sum() - energy[:, 0].sum() for energy in energies)
    amplitudes = []
    for energy in energies:
        energy[:, 1:] /= 2
        amplitude = (np.sqrt(energy / total) / BYTE_DEVIATION).astype(np.float32)
        amplitudes.append(torch.from_numpy(np.stack([amplitude] * 2, axis=-1)).to(device))
    return tuple(chosen), tuple(amplitudes)


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
    """

    parts: tuple[Torus, ...]
    coefficients: tuple[Tensor, ...]

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
            grid: pixels of the place.
            seeds: one per sample (B).
            device: where to compute.
            seeded: whether noise follows from the seeds, on all devices alike, which takes the CPU
                to draw it; False to draw it from PyTorch's global generator on the device.

        Returns:
            the fields.
        """
        place = Grid(grid.height, grid.width, grid.pixel_size)
        parts, amplitudes = tori(spectrum, place, torch.device(device))
        generators = [seeded_generator(seed, FIELD_STREAM) for seed in seeds] if seeded else None
        coefficients = []
        for amplitude in amplitudes:
            noise = _white_bytes(len(seeds), amplitude.numel(), generators, amplitude.device)
            # whatever the distribution of coefficients, that of sums of hundreds of waves is normal
            numbers = noise.reshape(-1, *amplitude.shape).float().add_(0.5)
            numbers.mul_(amplitude)
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
            rows, columns = (
                torch.polar(size.expand(len(shift), -1), shift[:, None] * turns).to(coefficients)
                for shift, (size, turns) in zip(
                    (down, right), _blurred_waves(torus, blur, down.device), strict=True
                )
            )
            moved.append((coefficients * rows[:, :, None]).mul_(columns[:, None]))
        return type(self)(self.parts, tuple(moved))

    def on(self, grid: Grid) -> Tensor:
        """Evaluate the fields at pixel centers.

        Args:
            grid: where.

        Returns:
            float32 tensor (B, H, W), with mean 0 and variance 1 over many seeds.
        """
        values = None
        for torus, coefficients in zip(self.parts, self.coefficients, strict=True):
            nodes = _nodes_at(torus, grid)
            if nodes is not None:
                part = self._at_nodes(torus, coefficients, nodes, grid)
            else:
                down, across = (_waves(torus, grid, axis, coefficients.device) for axis in (0, 1))
                # the real part of products of complex numbers, as a product of real matrices
                part = torch.view_as_real(down @ coefficients).flatten(-2) @ across
            values = part if values is None else values.add_(part)
        assert values is not None  # there is always a fine torus
        return values

    @cached_property
    def _tables(self) -> dict[Torus, Tensor]:
        """Values at the nodes of tori, once they were asked for."""
        return {}

    def _at_nodes(
        self, torus: Torus, coefficients: Tensor, nodes: tuple[int, int], grid: Grid
    ) -> Tensor:
        if torus not in self._tables:
            table = torch.fft.irfft2(coefficients, s=torus.nodes, norm='forward')
            self._tables[torus] = table
        part = self._tables[torus]
        for axis, (first, count) in enumerate(
            zip(nodes, (grid.height, grid.width), strict=True), 1
        ):
            side = part.shape[axis]
            if first + count <= side:
                part = part.narrow(axis, first, count)
            else:
                index = torch.arange(first, first + count, device=part.device) % side
                part = part.index_select(axis, index)
        return part.clone(memory_format=torch.contiguous_format)


def _white_bytes(
    samples: int,
    count: int,
    generators: Sequence[np.random.Generator] | None,
    device: torch.device,
) -> Tensor:
    """Independent whole numbers from -128 to 127: int8 tensor (samples, count)."""
    if generators is None:
        words = torch.empty(samples, -(-count // 8), dtype=torch.int64, device=device)
        return words.random_(-(2**63), None).view(torch.int8)[:, :count]
    rows = np.stack([np.frombuffer(drawn.bytes(count), np.int8) for drawn in generators])
    return torch.from_numpy(rows).to(device, non_blocking=True)


@lru_cache(maxsize=64)
def _nodes_at(torus: Torus, grid: Grid) -> tuple[int, int] | None:
    """Which node is the first pixel of a grid; None if pixels are not nodes one by one."""
    first = []
    for axis, (count, spacing) in enumerate(zip(torus.nodes, torus.spacing, strict=True)):
        position = grid.centers(axis) / spacing - 0.5
        node = round(position[0])
        if np.abs(position - node - np.arange(len(position))).max() > 1e-4:
            return None
        first.append(node % count)
    return first[0], first[1]


@lru_cache(maxsize=64)
def _blurred_waves(torus: Torus, blur: float, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """What a Gaussian leaves of waves along each axis, and by which angle a meter turns them."""
    return [
        (
            torch.from_numpy(np.exp(-2 * (np.pi * blur * waves) ** 2)).to(device),
            torch.from_numpy(-2 * np.pi * waves).to(device),
        )
        for waves in torus.wavenumbers()
    ]


@lru_cache(maxsize=64)
def _waves(torus: Torus, grid: Grid, axis: int, device: torch.device) -> Tensor:
    """Waves of a torus at the pixels of a grid.

    Args:
        torus: whose waves.
        grid: pixels.
        axis: 0 for waves along rows, 1 along columns.
        device: where they are wanted.

    Returns:
        along rows, complex64 tensor (H, N); along columns, float32 tensor (M + 2, W): what real and
        imaginary parts of coefficients are multiplied by.
    """
    position = grid.centers(axis) - torus.spacing[axis] / 2
    angle = 2 * np.pi * np.outer(position, torus.wavenumbers()[axis])
    if axis == 0:
        return torch.from_numpy(np.exp(1j * angle).astype(np.complex64)).to(device)
    parts = np.stack([np.cos(angle), -np.sin(angle)], axis=-1)
    parts[:, 1:] *= 2  # each stands for its mirror image, too
    flat = parts.reshape(len(position), -1).T.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(flat)).to(device)
