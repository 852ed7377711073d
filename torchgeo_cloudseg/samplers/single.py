"""Samplers that draw one patch at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyproj
from shapely.geometry.base import BaseGeometry
from torchgeo.datasets import GeoDataset

from .base import Corners, SceneSampler, grid_step, require_fit, size_pair


class RandomSceneSampler(SceneSampler):
    """Random patches inside scenes, each scene drawn in proportion to its area.

    Corners lie on multiples of *step* pixels from the scene's upper left corner, the last one that
    fits included, and each is equally likely. Scenes are drawn by systematic sampling: in an epoch
    every scene has its share of the patches, to within one. With as many patches as there are
    scenes of equal size, each is drawn once, as in the authors' training.
    """

    def __init__(
        self,
        dataset: GeoDataset,
        size: int | tuple[int, int],
        length: int | None = None,
        step: int | None = None,
        roi: BaseGeometry | None = None,
        roi_crs: pyproj.CRS | str | None = None,
        toi: pd.Interval | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        """Initialize a new RandomSceneSampler instance.

        Args:
            dataset: dataset to sample from.
            size: height and width of each patch in pixels.
            length: number of patches per epoch, of all ranks together, rounded up to a multiple
                of the number of ranks (defaults to the number of patches that fit into the scenes
                side by side).
            step: corners lie on multiples of this many pixels (defaults to the grid that all
                modalities of the dataset share, else 1).
            roi: region of interest; scenes that it does not touch are left out.
            roi_crs: CRS of *roi* (defaults to the CRS of *dataset*).
            toi: time of interest; scenes outside are left out.
            seed: seed of scenes and offsets; the same on all ranks.
            num_replicas: number of processes (defaults to that of the process group).
            rank: position among them (defaults to that in the process group).

        Raises:
            ValueError: if a patch does not fit into a scene, or *length* is not positive.
        """
        super().__init__(dataset, roi, roi_crs, toi, seed, num_replicas, rank)
        self.size_px = size_pair(size)
        require_fit(self.places, self.size_px, type(self).__name__)
        height, width = self.places.height_px, self.places.width_px
        self._step = step or grid_step(dataset)
        self._rows = (height - self.size_px[0]) // self._step + 1
        self._cols = (width - self.size_px[1]) // self._step + 1
        if length is None:
            length = int(((height // self.size_px[0]) * (width // self.size_px[1])).sum())
        if length < 1:
            raise ValueError(f'length={length} must be at least 1.')
        # DDP waits for every rank at every step: all must have the same number of patches
        self._length = -(-length // self.num_replicas) * self.num_replicas

    def corners(self) -> Corners:
        """Random patches of the current epoch, of all ranks together.

        Returns:
            int64 array of shape (N, 3): scene, first pixel row, first pixel column.
        """
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.places))
        shares = np.cumsum((self.places.height_px * self.places.width_px)[order].astype(float))
        ticks = (rng.random() + np.arange(self._length)) * (shares[-1] / self._length)
        chosen = np.minimum(np.searchsorted(shares, ticks, side='right'), len(order) - 1)
        scenes = rng.permutation(order[chosen])
        rows = rng.integers(self._rows[scenes]) * self._step
        cols = rng.integers(self._cols[scenes]) * self._step
        return np.stack([scenes, rows, cols], axis=1).astype(np.int64)

    def size_of(self, scene: int) -> tuple[int, int]:
        """Height and width in pixels of a patch."""
        return self.size_px

    def epoch_length(self) -> int:
        """Number of patches in an epoch, of all ranks together."""
        return self._length


class CenterSceneSampler(SceneSampler):
    """One patch of every scene: its center, or all of it. The same in every epoch."""

    def __init__(
        self,
        dataset: GeoDataset,
        size: int | tuple[int, int] | None = None,
        step: int | None = None,
        roi: BaseGeometry | None = None,
        roi_crs: pyproj.CRS | str | None = None,
        toi: pd.Interval | None = None,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        """Initialize a new CenterSceneSampler instance.

        Args:
            dataset: dataset to sample from.
            size: height and width of each patch in pixels (defaults to the whole scene).
            step: corners lie on multiples of this many pixels (defaults to the grid that all
                modalities of the dataset share, else 1).
            roi: region of interest; scenes that it does not touch are left out.
            roi_crs: CRS of *roi* (defaults to the CRS of *dataset*).
            toi: time of interest; scenes outside are left out.
            num_replicas: number of processes (defaults to that of the process group).
            rank: position among them (defaults to that in the process group).

        Raises:
            ValueError: if a patch does not fit into a scene.
        """
        super().__init__(dataset, roi, roi_crs, toi, 0, num_replicas, rank)
        self.size_px = None if size is None else size_pair(size)
        if self.size_px is not None:
            require_fit(self.places, self.size_px, type(self).__name__)
        self._step = step or grid_step(dataset)

    def corners(self) -> Corners:
        """One patch per scene, of all ranks together.

        Returns:
            int64 array of shape (N, 3): scene, first pixel row, first pixel column.
        """
        scenes = np.arange(len(self.places))
        if self.size_px is None:
            return np.stack([scenes, 0 * scenes, 0 * scenes], axis=1)
        rows = (self.places.height_px - self.size_px[0]) // self._step // 2 * self._step
        cols = (self.places.width_px - self.size_px[1]) // self._step // 2 * self._step
        return np.stack([scenes, rows, cols], axis=1)

    def size_of(self, scene: int) -> tuple[int, int]:
        """Height and width in pixels of the patch of a scene."""
        if self.size_px is not None:
            return self.size_px
        return int(self.places.height_px[scene]), int(self.places.width_px[scene])

    def epoch_length(self) -> int:
        """Number of scenes."""
        return len(self.places)


class GridSceneSampler(SceneSampler):
    """Patches that cover every scene in a regular grid. The same in every epoch.

    The last patch of a row or column is moved inside the scene, so that patches never run over
    its edge and every pixel is covered.
    """

    def __init__(
        self,
        dataset: GeoDataset,
        size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        roi: BaseGeometry | None = None,
        roi_crs: pyproj.CRS | str | None = None,
        toi: pd.Interval | None = None,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        """Initialize a new GridSceneSampler instance.

        Args:
            dataset: dataset to sample from.
            size: height and width of each patch in pixels.
            stride: distance between patches in pixels (defaults to *size*).
            roi: region of interest; scenes that it does not touch are left out.
            roi_crs: CRS of *roi* (defaults to the CRS of *dataset*).
            toi: time of interest; scenes outside are left out.
            num_replicas: number of processes (defaults to that of the process group).
            rank: position among them (defaults to that in the process group).

        Raises:
            ValueError: if a patch does not fit into a scene.
        """
        super().__init__(dataset, roi, roi_crs, toi, 0, num_replicas, rank)
        self.size_px = size_pair(size)
        self.stride_px = size_pair(stride) if stride is not None else self.size_px
        require_fit(self.places, self.size_px, type(self).__name__)
        sizes = zip(self.places.height_px.tolist(), self.places.width_px.tolist(), strict=True)
        grids = [
            (scene, row, col)
            for scene, (height, width) in enumerate(sizes)
            for row in _starts(height, self.size_px[0], self.stride_px[0])
            for col in _starts(width, self.size_px[1], self.stride_px[1])
        ]
        self._corners = np.array(grids, dtype=np.int64)

    def corners(self) -> Corners:
        """All patches of the grid, of all ranks together.

        Returns:
            int64 array of shape (N, 3): scene, first pixel row, first pixel column.
        """
        return self._corners

    def size_of(self, scene: int) -> tuple[int, int]:
        """Height and width in pixels of a patch."""
        return self.size_px

    def epoch_length(self) -> int:
        """Number of patches in an epoch, of all ranks together."""
        return len(self._corners)


def _starts(extent_px: int, size_px: int, stride_px: int) -> list[int]:
    """First pixels of patches that cover an extent, the last one moved inside."""
    last = extent_px - size_px
    starts = list(range(0, last + 1, stride_px))
    return starts if starts[-1] == last else [*starts, last]
