"""Cubic B-splines with hashed coefficients on nested square lattices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import NamedTuple

import numpy as np

from .lattice import Array, Axis, Nodes
from .white_noise import white_noise

#: Windows are computed together as long as their union has at most this many times the nodes that
#: they have separately: it takes fewer calls, which for small windows are most of the time.
SPREAD = 2.0


class Window(NamedTuple):
    """A rectangle of nodes.

    Attributes:
        rows: positions along the first axis.
        columns: along the second.
    """

    rows: Nodes
    columns: Nodes

    @property
    def size(self) -> int:
        """Number of nodes."""
        return self.rows.length * self.columns.length

    def coarser(self, times: int = 1) -> Window:
        """The window on a wider lattice that this one depends on.

        Args:
            times: number of doublings of the lattice.

        Returns:
            the window.
        """
        window = self
        for _ in range(times):
            window = Window(window.rows.coarser, window.columns.coarser)
        return window

    def union(self, other: Window) -> Window:
        """A window that includes this one and another.

        Args:
            other: window on the same lattice.

        Returns:
            the window.
        """
        return Window(self.rows.union(other.rows), self.columns.union(other.columns))

    def cut(self, coefficients: Array, whole: Window) -> Array:
        """Take what lies in this window.

        Args:
            coefficients: array of another window.
            whole: that window, which includes this one.

        Returns:
            array of this one.
        """
        row, column = (own.start - other.start for own, other in zip(self, whole, strict=True))
        part = coefficients[row : row + self.rows.length, column : column + self.columns.length]
        return np.ascontiguousarray(part)


class Pyramid(NamedTuple):
    """Windows on nested lattices, from coarse to fine, of which each depends on the one before.

    Attributes:
        windows: one on each lattice.
        starts: position of the first row and of the first column, one lattice after the other.
        lengths: numbers of rows and columns, likewise.
    """

    windows: tuple[Window, ...]
    starts: tuple[int, ...]
    lengths: tuple[int, ...]

    @staticmethod
    @lru_cache(maxsize=64)
    def under(window: Window, count: int) -> Pyramid:
        """What a window depends on.

        Args:
            window: on the finest lattice.
            count: number of lattices.

        Returns:
            the windows.
        """
        windows = [window]
        for _ in range(count - 1):
            windows.append(windows[-1].coarser())
        windows.reverse()
        starts, lengths = zip(*(nodes for level in windows for nodes in level), strict=True)
        return Pyramid(tuple(windows), starts, lengths)


class View(NamedTuple):
    """Where a sum of splines is wanted.

    Attributes:
        rows: points along the first axis, in units of the finest of its lattices.
        columns: along the second.
        lattices: number of lattices, from the coarsest, that are added up.
    """

    rows: Axis
    columns: Axis
    lattices: int

    def window(self, count: int) -> Window:
        """The nodes on one lattice that the points depend on.

        Args:
            count: number of the lattice, counted from one for the coarsest.

        Returns:
            the window.
        """
        return Window(self.rows.nodes, self.columns.nodes).coarser(self.lattices - count)

    def interpolate(self, coefficients: Array) -> Array:
        """Values of splines at the points.

        Args:
            coefficients: array (nodes of the rows, nodes of the columns).

        Returns:
            array (rows, columns).
        """
        if self.rows.on_nodes and self.columns.on_nodes:
            return _at_nodes(coefficients, self.rows.count, self.columns.count)
        return self.rows.interpolate(self.columns.interpolate(coefficients.T).T)


def random_splines(
    seed: int, weights: Sequence[float], filtered: int, views: Sequence[View]
) -> list[Array]:
    """Sums of splines with random coefficients on several lattices.

    Lattices that several views have in common are added up once, if the views are not too far
    from each other.

    Args:
        seed: of the coefficients.
        weights: factor of each lattice for integers over the range of int32, coarse to fine.
        filtered: number of lattices, from the coarsest, that pass :data:`FILTER`.
        views: where the sums are wanted.

    Returns:
        an array (rows, columns) for each view.
    """
    base = _common(seed, weights, filtered, views) if len(views) > 1 else None
    return [
        view.interpolate(
            _add(seed, weights, filtered, view.window(view.lattices), view.lattices, base)
        )
        for view in views
    ]


class _Base(NamedTuple):
    """Coefficients that stand for those of the coarsest lattices.

    Attributes:
        lattices: number of these lattices.
        window: on the finest of them.
        coefficients: array of the window.
    """

    lattices: int
    window: Window
    coefficients: Array


def _common(
    seed: int, weights: Sequence[float], filtered: int, views: Sequence[View]
) -> _Base | None:
    """Add up as many lattices as it is worth for all views together; None if there are none."""
    for count in range(min(view.lattices for view in views), 0, -1):
        windows = [view.window(count) for view in views]
        whole = reduce(Window.union, windows)
        if whole.size <= SPREAD * sum(window.size for window in windows):
            return _Base(count, whole, _add(seed, weights, filtered, whole, count))
    return None


def _add(
    seed: int,
    weights: Sequence[float],
    filtered: int,
    window: Window,
    lattices: int,
    base: _Base | None = None,
) -> Array:
    """Coefficients on one lattice that stand for those on it and on all coarser ones.

    Args:
        seed: of the coefficients.
        weights: factors of the lattices, from the coarsest.
        filtered: number of lattices that pass :data:`FILTER`.
        window: where they are wanted.
        lattices: number of lattices.
        base: what is added up already.

    Returns:
        array (rows, columns).
    """
    first, total = 0, None
    if base is not None:
        first = base.lattices
        total = window.coarser(lattices - first).cut(base.coefficients, base.window)
        if lattices == first:
            return total
    pyramid = Pyramid.under(window, lattices - first)
    noise = white_noise(seed, pyramid.starts, pyramid.lengths, first)
    for level, (coefficients, (down, across)) in enumerate(
        zip(noise, pyramid.windows, strict=True), first
    ):
        coefficients *= weights[level]
        if total is not None:
            smooth = level <= filtered
            half = across.refine(total.T, smooth)
            coefficients += down.refine(half.T, smooth)
        total = coefficients
    return noise[-1]


def _at_nodes(coefficients: Array, rows: int, columns: int) -> Array:
    """Values of splines at nodes, where only three of them are not zero along each axis.

    Args:
        coefficients: array (R, C); values begin at the third row and column of it.
        rows: number of rows.
        columns: number of columns.

    Returns:
        array (rows, columns).
    """
    before, here, after = (coefficients[i : i + rows] for i in (1, 2, 3))
    sums = before + after
    sums *= 0.25
    sums += here
    # rows are one after the other in memory, and together they take less time than one by one;
    # what is wrong at their ends is left out
    line = sums.reshape(-1)
    values = np.empty_like(line)
    middle = values[1:-1]
    np.add(line[:-2], line[2:], out=middle)
    middle *= 0.25
    middle += line[1:-1]
    return values.reshape(sums.shape)[:, 2 : 2 + columns] * np.float32(16 / 36)
