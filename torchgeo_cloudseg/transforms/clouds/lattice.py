"""Cubic B-splines along one axis of nested lattices.

All of it is computed on the host, one sample at a time: the products are so small that it takes
longer to share them out over cores, or to launch them on a device, than to do them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

#: Two-scale relation of cubic B-splines: B(t) is the sum over k = -2..2 of this times B(2t - k).
SUBDIVISION = np.array([1, 4, 6, 4, 1]) / 8

#: What coefficients pass before they are refined. It takes out the waves that a lattice can
#: barely carry; with them, edges of clouds would tend to follow its rows and columns.
FILTER = np.array([1, 4, 1]) / 6

#: Lengths of unions are multiples of this, such that layouts can be used again.
UNION = 8

#: Rows that are computed by one matrix product. They depend on a few neighbors only: longer
#: blocks would multiply by more zeros, shorter ones take more products.
BLOCK = 16


class Nodes(NamedTuple):
    """Consecutive nodes of a lattice along one axis.

    Attributes:
        start: position of the first one.
        length: how many.
    """

    start: int
    length: int

    @property
    def coarser(self) -> Nodes:
        """Nodes of the lattice twice as wide that these depend on."""
        return Nodes((self.start + 1) // 2 - 2, _blocks(self.length) * BLOCK // 2 + 4)

    def union(self, other: Nodes) -> Nodes:
        """Nodes that include these and others.

        Args:
            other: nodes of the same lattice.

        Returns:
            no more nodes than needed, but that their number is a multiple of :data:`UNION`.
        """
        start = min(self.start, other.start)
        end = max(self.start + self.length, other.start + other.length)
        return Nodes(start, -(-(end - start) // UNION) * UNION)

    def refine(self, coefficients: Array, smooth: bool) -> Array:
        """Express splines on the lattice twice as wide by splines on this one.

        Args:
            coefficients: array (nodes of that lattice, N).
            smooth: whether they pass :data:`FILTER` first.

        Returns:
            array (nodes, N).
        """
        return _product(_refinement(self.start % 2, smooth), coefficients, BLOCK // 2, self.length)


@dataclass(frozen=True)
class Axis:
    """Evenly spaced points along one axis.

    Attributes:
        first: the first point, in units of the lattice.
        step: distance of the points in these units.
        count: how many.
        smooth: whether coefficients pass :data:`FILTER` before they are interpolated.
    """

    first: float
    step: float
    count: int
    smooth: bool

    @property
    def nodes(self) -> Nodes:
        """Nodes of the lattice that the points depend on."""
        last = int((_blocks(self.count) - 1) * BLOCK * self.step)
        return Nodes(math.floor(self.first) - 2, last + self._reach)

    @property
    def on_nodes(self) -> bool:
        """Whether every point is a node."""
        return self.step == 1 and self.first.is_integer() and not self.smooth

    @property
    def _periodic(self) -> bool:
        """Whether nodes lie alike under all blocks of points."""
        return (BLOCK * self.step).is_integer()

    @property
    def _reach(self) -> int:
        """Number of nodes that a block of points depends on."""
        return int((BLOCK - 1) * self.step) + (7 if self._periodic else 8)

    def interpolate(self, coefficients: Array) -> Array:
        """Values of splines at the points.

        Args:
            coefficients: array (nodes, N).

        Returns:
            array (points, N).
        """
        offset = self.first - math.floor(self.first) + 2
        if self._periodic:
            matrix = _spline_basis(1, self._reach, self.step, offset, self.smooth)[0]
            return _product(matrix, coefficients, int(BLOCK * self.step), self.count)
        blocks = _blocks(self.count)
        matrices = _spline_basis(blocks, self._reach, self.step, offset, self.smooth)
        nodes = _first_nodes(blocks, self.step)[:, None] + np.arange(self._reach)
        product: Array = matrices @ coefficients[nodes]
        return product.reshape(-1, product.shape[-1])[: self.count]


def _product(matrix: Array, values: Array, stride: int, count: int) -> Array:
    """Product with a matrix that consists of the same block again and again, and of zeros.

    Args:
        matrix: the block, array (BLOCK, M).
        values: array (N, K).
        stride: columns from one block to the next.
        count: number of rows R of the product.

    Returns:
        array (R, K).
    """
    blocks, (rows, columns) = _blocks(count), values.strides
    shape = blocks, matrix.shape[1], values.shape[1]
    # blocks see overlapping parts of the values
    parts: Array = np.ndarray(shape, np.float32, values, 0, (stride * rows, rows, columns))
    product: Array = matrix @ parts
    return product.reshape(-1, shape[2])[:count]


def _blocks(count: int) -> int:
    """Number of blocks of that many rows in all."""
    return -(-count // BLOCK)


def _first_nodes(blocks: int, step: float) -> npt.NDArray[np.int64]:
    """First node under each block of points (blocks,)."""
    first: npt.NDArray[np.int64] = np.floor(np.arange(blocks) * BLOCK * step).astype(np.int64)
    return first


@lru_cache(maxsize=4)
def _refinement(odd: int, smooth: bool) -> Array:
    """Matrix that expresses splines by splines on the next finer lattice.

    Args:
        odd: 1 if the position of the first node on the finer lattice is odd, else 0.
        smooth: whether coarse coefficients pass :data:`FILTER` first.

    Returns:
        matrix (BLOCK, BLOCK / 2 + 4) of which every row sums to one.
    """
    mask = SUBDIVISION
    if smooth:
        spread = np.zeros(2 * len(FILTER) - 1)
        spread[::2] = FILTER
        mask = np.convolve(mask, spread)
    middle = len(mask) // 2
    distance = np.abs(np.arange(BLOCK)[:, None] + 4 - odd - 2 * np.arange(BLOCK // 2 + 4))
    half = np.append(mask[middle:], 0).astype(np.float32)
    matrix: Array = half[np.minimum(distance, middle + 1)]
    return matrix


@lru_cache(maxsize=128)
def _spline_basis(blocks: int, reach: int, step: float, offset: float, smooth: bool) -> Array:
    """Cubic B-splines at evenly spaced points, in blocks.

    Args:
        blocks: number of blocks.
        reach: number of splines of each block, centerd at the first node under it, and so on.
        step: distance of the points.
        offset: position of the first point, in [2, 3).
        smooth: whether coefficients pass :data:`FILTER` first.

    Returns:
        matrices (blocks, BLOCK, reach) of which every row sums to one.
    """
    points = offset + step * np.arange(blocks * BLOCK).reshape(blocks, BLOCK)
    position = points - _first_nodes(blocks, step)[:, None]
    left = np.floor(position).astype(np.int64)
    u = position - left
    v = 1 - u
    splines = np.stack([v**3, 3 * u**3 - 6 * u**2 + 4, 3 * v**3 - 6 * v**2 + 4, u**3]) / 6
    basis = np.zeros((blocks, BLOCK, reach), np.float32)
    block, row = np.indices((blocks, BLOCK))
    for shift, share in zip((-1, 0, 1), FILTER if smooth else (0, 1, 0), strict=True):
        for node, spline in zip((-1, 0, 1, 2), splines, strict=True):
            basis[block, row, left + node + shift] += share * spline
    return basis
