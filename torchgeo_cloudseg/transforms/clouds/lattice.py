"""Cubic B-splines with hashed coefficients on nested square lattices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .hashing import mix, splitmix, streams

#: Two-scale relation of cubic B-splines: B(t) is the sum over k = -2..2 of this times B(2t - k).
SUBDIVISION = np.array([1, 4, 6, 4, 1]) / 8

#: What coefficients pass before they are refined. It takes out the waves that a lattice can
#: barely carry; with them, edges of clouds would tend to follow its rows and columns.
FILTER = np.array([1, 4, 1]) / 6

#: Rows of a matrix that are multiplied at once: it is zero off a narrow band.
CHUNK = 96

#: Width of that band where splines are interpolated, and where they are refined.
INTERPOLATED, REFINED = 7, 5


@dataclass(frozen=True, eq=False)
class Points:
    """A grid of points, one per sample, and the nodes of a lattice that it depends on.

    Attributes:
        first: row and column of the first point (B, 2), in units of the lattice.
        step: distance of the points along rows and columns in these units.
        count: rows and columns of points.
        smooth: whether coefficients pass :data:`FILTER` first.
    """

    first: npt.NDArray[np.float64]
    step: tuple[float, float]
    count: tuple[int, int]
    smooth: bool

    @property
    def nodes(self) -> tuple[int, int]:
        """Rows and columns of nodes, the same for all samples."""
        rows, columns = (
            int((count - 1) * step) + 7 for count, step in zip(self.count, self.step, strict=True)
        )
        return rows, columns

    @property
    def start(self) -> npt.NDArray[np.int64]:
        """Row and column of the first node (B, 2)."""
        return np.floor(self.first).astype(np.int64) - 2

    @property
    def on_nodes(self) -> bool:
        """Whether every point is a node, where only three splines per axis are not zero."""
        return self.step == (1.0, 1.0) and not self.smooth and not (self.first % 1).any()

    def interpolate(self, coefficients: Tensor) -> Tensor:
        """Values of the spline at the points.

        Args:
            coefficients: tensor (B, rows, columns) of nodes; (rows, columns) for one sample.

        Returns:
            tensor (B, rows, columns) of points, likewise.
        """
        if self.on_nodes:
            for axis, count in ((-1, self.count[1]), (-2, self.count[0])):
                left, middle, right = (coefficients.narrow(axis, i, count) for i in (1, 2, 3))
                coefficients = (left + right).add_(middle, alpha=4).mul_(1 / 6)
            return coefficients
        offsets = (self.first - self.start).T.tolist()
        rows, columns = (
            _stacked(
                [_spline_basis(count, nodes, step, offset, self.smooth) for offset in along]
            ).to(coefficients.device)
            for count, nodes, step, along in zip(
                self.count, self.nodes, self.step, offsets, strict=True
            )
        )
        across = _banded_product(columns, coefficients.mT, self.step[1], INTERPOLATED)
        return _banded_product(rows, across.mT, self.step[0], INTERPOLATED)


def spline_coefficients(
    seeds: Sequence[int],
    weights: Sequence[float],
    filtered: int,
    points: Points,
    device: torch.device,
) -> Tensor:
    """Sum of the splines of all lattices, as a spline on the finest.

    Args:
        seeds: one seed per sample (B).
        weights: factor of each lattice for integers over the range of int32, coarse to fine.
        filtered: number of lattices, from the coarsest, that pass :data:`FILTER`.
        points: where the spline is wanted, in units of the finest lattice.
        device: where to compute.

    Returns:
        float32 tensor (B, rows, columns), or without the first axis for one sample.
    """
    starts, counts = [points.start], [points.nodes]
    for _ in weights[1:]:
        # each lattice has just the nodes on which the next one depends
        starts.append((starts[-1] + 1) // 2 - 2)
        counts.append((_coarser(counts[-1][0]), _coarser(counts[-1][1])))
    starts, counts = starts[::-1], counts[::-1]
    noise = _white_noise(seeds, starts, tuple(counts), device)
    coefficients = noise[0] * weights[0]
    for level in range(1, len(weights)):
        odd = (starts[level] - 2 * starts[level - 1] - 3).T.tolist()
        down, across = (
            _stacked([_refinement(count, offset, level <= filtered) for offset in along]).to(device)
            for count, along in zip(counts[level], odd, strict=True)
        )
        half = _banded_product(across, coefficients.mT, 0.5, REFINED)
        finer = _banded_product(down, half.mT, 0.5, REFINED)
        coefficients = finer.add_(noise[level], alpha=weights[level])
    return coefficients


def _white_noise(
    seeds: Sequence[int],
    starts: Sequence[npt.NDArray[np.int64]],
    counts: tuple[tuple[int, int], ...],
    device: torch.device,
) -> list[Tensor]:
    """Independent numbers over the range of int32 on each lattice: tensors (B, rows, columns)."""
    level, index = _numbering(counts)
    # levels are numbered from the coarsest, which is the same at all resolutions
    keys = streams(seeds, np.arange(2 * len(counts), dtype=np.uint64))
    keys += np.concatenate(starts, 1).view(np.uint64)
    hashed = (splitmix(keys[:, level] + index) >> np.uint64(32)).astype(np.uint32)
    sizes = [rows * columns for rows, columns in counts]
    crossed = np.empty((len(seeds), sum(sizes)), np.uint32)
    node = cell = 0
    for (rows, columns), size in zip(counts, sizes, strict=True):
        middle, end = node + rows, node + rows + columns
        np.bitwise_xor(
            hashed[:, node:middle, None],
            hashed[:, None, middle:end],
            out=crossed[:, cell : cell + size].reshape(-1, rows, columns),
        )
        node, cell = end, cell + size
    values = torch.from_numpy(mix(crossed).view(np.int32).astype(np.float32)).to(device)
    shape = () if len(seeds) == 1 else (len(seeds),)
    parts = torch.split(values, sizes, 1)
    return [part.view(*shape, *count) for part, count in zip(parts, counts, strict=True)]


@lru_cache(maxsize=64)
def _numbering(
    counts: tuple[tuple[int, int], ...],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Which axis of which level each row and column belongs to, and its place there."""
    along = [count for pair in counts for count in pair]
    index = np.concatenate([np.arange(count, dtype=np.uint64) for count in along])
    return np.repeat(np.arange(len(along)), along), index


def _banded_product(matrix: Tensor, values: Tensor, step: float, reach: int) -> Tensor:
    """Product with a matrix of which row *i* is zero before column *i* step and *reach* beyond it.

    Args:
        matrix: tensor (..., n, m).
        values: tensor (..., m, k).
        step: columns per row.
        reach: number of columns that can be other than zero, from the one at *i* step, rounded
            down.

    Returns:
        tensor (..., n, k).
    """
    count = matrix.shape[-2]
    if count <= CHUNK:
        return matrix @ values
    parts = []
    for begin in range(0, count, CHUNK):
        end = min(begin + CHUNK, count)
        low, high = int(begin * step), int((end - 1) * step) + reach
        parts.append(matrix[..., begin:end, low:high] @ values[..., low:high, :])
    return torch.cat(parts, -2)


def _stacked(matrices: list[Tensor]) -> Tensor:
    """Matrices of all samples as one tensor (B, n, m); a single one as it is, (n, m)."""
    return matrices[0] if len(matrices) == 1 else torch.stack(matrices)


def _coarser(count: int) -> int:
    """Nodes of a lattice on which any *count* neighbours on the next finer one depend."""
    return (count + 1) // 2 + 4


@lru_cache(maxsize=256)
def _refinement(count: int, odd: int, smooth: bool) -> Tensor:
    """Matrix that expresses a spline on the next finer lattice.

    Args:
        count: nodes of the finer lattice.
        odd: its first index, less twice that of the coarser lattice, less three.
        smooth: whether coarse coefficients pass :data:`FILTER` first.

    Returns:
        matrix (count, coarser count) of which every row sums to one.
    """
    mask = SUBDIVISION
    if smooth:
        spread = np.zeros(2 * len(FILTER) - 1)
        spread[::2] = FILTER
        mask = np.convolve(mask, spread)
    middle = len(mask) // 2
    distance = np.abs(np.arange(count)[:, None] + odd + 3 - 2 * np.arange(_coarser(count)))
    half = np.append(mask[middle:], 0).astype(np.float32)
    return torch.from_numpy(half[np.minimum(distance, middle + 1)])


@lru_cache(maxsize=128)
def _spline_basis(count: int, nodes: int, step: float, offset: float, smooth: bool) -> Tensor:
    """Cubic B-splines at evenly spaced points.

    Args:
        count: number of points.
        nodes: number of splines, centred at 0, 1, 2, ...
        step: distance of the points.
        offset: position of the first point, in [2, 3).
        smooth: whether coefficients pass :data:`FILTER` first.

    Returns:
        float32 matrix (count, nodes) of which every row sums to one.
    """
    position = offset + step * np.arange(count)
    left = np.floor(position).astype(np.int64)
    u = position - left
    v = 1 - u
    splines = np.stack([v**3, 3 * u**3 - 6 * u**2 + 4, 3 * v**3 - 6 * v**2 + 4, u**3]) / 6
    basis = np.zeros((count, nodes), np.float32)
    for shift, share in zip((-1, 0, 1), FILTER if smooth else (0, 1, 0), strict=True):
        for node, spline in zip((-1, 0, 1, 2), splines, strict=True):
            basis[np.arange(count), left + node + shift] += share * spline
    return torch.from_numpy(basis)
