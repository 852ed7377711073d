"""Sampler that divides scenes into tiles."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
import pyproj
from shapely.geometry.base import BaseGeometry
from torchgeo.datasets import GeoDataset

from ..datasets.query import SceneSlice
from .base import Corners, SceneSampler, grid_step, require_fit, size_pair


class TileSceneSampler(SceneSampler):
    """Tiles that cover every scene without overlap. The same in every epoch.

    For evaluation: no pixel counts twice. By default the tiles of a scene cover all of it; they
    differ in size by a step at most, so they come in batches of one. With *equal*, all tiles have
    the same size, and what is left at the right and lower edge of a scene is left out.
    """

    def __init__(
        self,
        dataset: GeoDataset,
        size: int | tuple[int, int],
        equal: bool = False,
        step: int | None = None,
        roi: BaseGeometry | None = None,
        roi_crs: pyproj.CRS | str | None = None,
        toi: pd.Interval | None = None,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        """Initialize a new TileSceneSampler instance.

        Args:
            dataset: dataset to sample from.
            size: height and width of each tile in pixels; without *equal*, the largest.
            equal: make all tiles of this size, and leave out what does not fill one.
            step: corners lie on multiples of this many pixels (defaults to the grid that all
                modalities of the dataset share, else 1).
            roi: region of interest; scenes that it does not touch are left out.
            roi_crs: CRS of *roi* (defaults to the CRS of *dataset*).
            toi: time of interest; scenes outside are left out.
            num_replicas: number of processes (defaults to that of the process group).
            rank: position among them (defaults to that in the process group).

        Raises:
            ValueError: if *size* is smaller than a step, or a scene smaller than an equal tile.
        """
        super().__init__(dataset, roi, roi_crs, toi, 0, num_replicas, rank)
        height, width = size_pair(size)
        step = step or grid_step(dataset)
        if min(height, width) < step:
            raise ValueError(f'size={size} must be at least {step} pixels, the step of the grid.')
        if equal:
            require_fit(self.places, (height, width), type(self).__name__)
        cut = _equal if equal else _balanced
        tiles = [
            (scene, top, left, bottom - top, right - left)
            for scene in range(len(self.places))
            for top, bottom in cut(int(self.places.height_px[scene]), height, step)
            for left, right in cut(int(self.places.width_px[scene]), width, step)
        ]
        self._tiles = np.array(tiles, dtype=np.int64)

    def __iter__(self) -> Iterator[SceneSlice]:
        """Iterate over this rank's tiles.

        Yields:
            ``(x, y, t)`` slices to index a dataset.
        """
        start, self._skipped = self._skipped, 0
        for scene, row, col, height, width in self._tiles[self.rank :: self.num_replicas][start:]:
            yield self.places.patch(int(scene), int(row), int(col), (int(height), int(width)))

    def corners(self) -> Corners:
        """All tiles, of all ranks together.

        Returns:
            int64 array of shape (N, 3): scene, first pixel row, first pixel column.
        """
        return self._tiles[:, :3]

    def size_of(self, scene: int) -> tuple[int, int]:
        """Height and width in pixels of the largest tile of a scene."""
        sizes = self._tiles[self._tiles[:, 0] == scene, 3:]
        return int(sizes[:, 0].max()), int(sizes[:, 1].max())

    def epoch_length(self) -> int:
        """Number of tiles, of all ranks together."""
        return len(self._tiles)


def _equal(extent_px: int, size_px: int, step_px: int) -> list[tuple[int, int]]:
    """Starts and ends of pieces of one size, as many as fit."""
    pitch = -(-size_px // step_px) * step_px
    return [(start, start + size_px) for start in range(0, extent_px - size_px + 1, pitch)]


def _balanced(extent_px: int, size_px: int, step_px: int) -> list[tuple[int, int]]:
    """Starts and ends of as few pieces as possible, as equal as can be, that cover an extent."""
    largest = size_px // step_px * step_px
    count = -(-extent_px // largest)
    steps = -(-extent_px // step_px)
    edges = [steps * i // count * step_px for i in range(count)] + [extent_px]
    return list(pairwise(edges))
