"""What all samplers of this package share: seeds, epochs and shards."""

from __future__ import annotations

import abc
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyproj
import torch.distributed as dist
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from torch.utils.data import DistributedSampler
from torchgeo.datasets import GeoDataset

from ..datasets.query import SceneSlice
from .places import Places, find_places

#: One row per patch: scene, first pixel row, first pixel column.
Corners = NDArray[np.int64]


class SceneSampler(DistributedSampler[SceneSlice], abc.ABC):
    """Abstract base of samplers that draw patches inside scenes, on each scene's pixel grid.

    A sampler of this kind shards itself: rank *r* of *n* takes every *n*-th patch of an epoch that
    is the same on all ranks. Because it is a :class:`torch.utils.data.DistributedSampler`,
    Lightning leaves it as it is and calls :meth:`set_epoch`.
    """

    def __init__(
        self,
        dataset: GeoDataset,
        roi: BaseGeometry | None = None,
        roi_crs: pyproj.CRS | str | None = None,
        toi: pd.Interval | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        """Initialize a new SceneSampler instance.

        Args:
            dataset: dataset to sample from.
            roi: region of interest; scenes that it does not touch are left out.
            roi_crs: CRS of *roi* (defaults to the CRS of *dataset*).
            toi: time of interest; scenes outside are left out.
            seed: seed of everything random; the same on all ranks.
            num_replicas: number of processes (defaults to that of the process group).
            rank: position among them (defaults to that in the process group).
        """
        grouped = dist.is_available() and dist.is_initialized()
        super().__init__(
            dataset,
            num_replicas=num_replicas or (dist.get_world_size() if grouped else 1),
            rank=rank if rank is not None else (dist.get_rank() if grouped else 0),
            shuffle=False,
            seed=seed,
        )
        self.places: Places = find_places(dataset, roi, roi_crs, toi)
        self._skipped = 0

    def skip(self, patches: int) -> None:
        """Leave out the first patches of this rank, in the next iteration only.

        Args:
            patches: how many.
        """
        self._skipped = patches

    @abc.abstractmethod
    def corners(self) -> Corners:
        """Patches of the current epoch, of all ranks together.

        Returns:
            int64 array of shape (N, 3): scene, first pixel row, first pixel column.
        """

    @abc.abstractmethod
    def size_of(self, scene: int) -> tuple[int, int]:
        """Height and width in pixels of a patch of a scene."""

    @abc.abstractmethod
    def epoch_length(self) -> int:
        """Number of patches in an epoch, of all ranks together."""

    def __iter__(self) -> Iterator[SceneSlice]:
        """Iterate over this rank's patches of the current epoch.

        Yields:
            ``(x, y, t)`` slices to index a dataset.
        """
        start, self._skipped = self._skipped, 0
        for scene, row, col in self.corners()[self.rank :: self.num_replicas][start:]:
            yield self.places.patch(int(scene), int(row), int(col), self.size_of(scene))

    def __len__(self) -> int:
        """Number of this rank's patches in an epoch."""
        return len(range(self.rank, self.epoch_length(), self.num_replicas))


def size_pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width from one number or two.

    Args:
        size: pixels.

    Returns:
        height and width.

    Raises:
        ValueError: if a side is not positive.
    """
    pair = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    if min(pair) < 1:
        raise ValueError(f'size={size} must be at least one pixel on each side.')
    return pair


def grid_step(dataset: GeoDataset) -> int:
    """Pixels between the corners of the grid that all modalities of a data set share.

    Args:
        dataset: any GeoDataset.

    Returns:
        what the data set declares as ``grid_step_px``, else 1.
    """
    return int(getattr(dataset, 'grid_step_px', 1))


def require_fit(places: Places, size_px: tuple[int, int], sampler: str) -> None:
    """Refuse patches that do not fit into the scenes.

    Args:
        places: the scenes.
        size_px: height and width of a patch.
        sampler: name of the sampler, for the message.

    Raises:
        ValueError: if a scene is smaller than a patch.
    """
    small = np.flatnonzero((places.height_px < size_px[0]) | (places.width_px < size_px[1]))
    if len(small):
        worst = small[0]
        raise ValueError(
            f'{sampler}: a patch of {size_px[0]} x {size_px[1]} px does not fit into '
            f'{len(small)} of {len(places)} scenes, such as {places.names[worst]} '
            f'({places.height_px[worst]} x {places.width_px[worst]} px). Use smaller patches.'
        )
