"""Independent random numbers on the nodes of lattices, wherever a window on them lies."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .hashing import LATTICE_STREAM, mix, splitmix, streams


def white_noise(
    seed: int, starts: tuple[int, ...], counts: tuple[int, ...], first: int = 0
) -> list[npt.NDArray[np.float32]]:
    """Random numbers in windows of unbounded lattices.

    Every number depends on the seed and on its lattice, row and column, and on nothing else.

    Args:
        seed: of the numbers.
        starts: first row and first column of the window on each lattice, one after the other,
            from the coarsest lattice.
        counts: numbers of rows and columns, likewise.
        first: how many coarser lattices there are than the first of these.

    Returns:
        whole numbers over the range of int32: for each lattice, an array (rows, columns).
    """
    layout = _layout(counts)
    # lattices are numbered from the coarsest, which is the same at all resolutions
    keys = streams(seed, LATTICE_STREAM + 2 * first, len(starts))
    keys = keys + np.array(starts).view(np.uint64)
    hashed = splitmix(keys[layout.axis] + layout.place).astype(np.uint32)
    # factors must be odd, else their products would not reach all integers
    hashed |= 1
    products = np.empty(layout.size, np.uint32)
    for lattice in layout.lattices:
        out = products[lattice.nodes].reshape(lattice.shape)
        np.multiply(hashed[lattice.rows, None], hashed[lattice.columns], out=out)
    numbers = mix(products)
    return [numbers[lattice.nodes].reshape(lattice.shape) for lattice in layout.lattices]


class _Lattice(NamedTuple):
    """Where rows, columns and nodes of a lattice are stored."""

    rows: slice
    columns: slice
    nodes: slice
    shape: tuple[int, int]


class _Layout(NamedTuple):
    """How lattices are stored one after the other.

    Attributes:
        axis: number of the axis to which each row or column belongs.
        place: its place there.
        lattices: where they are.
        size: number of nodes in all.
    """

    axis: npt.NDArray[np.int64]
    place: npt.NDArray[np.uint64]
    lattices: tuple[_Lattice, ...]
    size: int


@lru_cache(maxsize=64)
def _layout(counts: tuple[int, ...]) -> _Layout:
    """The layout of lattices with so many rows, columns, rows, columns, and so on."""
    place = np.concatenate([np.arange(count, dtype=np.uint64) for count in counts])
    axis = np.repeat(np.arange(len(counts)), counts)
    lattices = []
    line = node = 0
    for shape in zip(counts[::2], counts[1::2], strict=True):
        middle, end, size = line + shape[0], line + sum(shape), math.prod(shape)
        nodes = slice(node, node + size)
        lattices.append(_Lattice(slice(line, middle), slice(middle, end), nodes, shape))
        line, node = end, node + size
    return _Layout(axis, place, tuple(lattices), node)
