"""Patches that are the same in every epoch: centers, grids and tiles of scenes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from torchgeo.datasets import GeoDataset

from .base import SceneSampler, Size, grid_step, size_pair
from .scene_frames import patch_table

#: Starts and ends of patches along one axis.
Pieces = list[tuple[int, int]]


class CenterSceneSampler(SceneSampler):
    """One patch of every scene: its center, or all of it. The same in every epoch.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> dataset = M3MCR.zoned(root, split='test')
        >>> len(CenterSceneSampler(dataset, size=160)) == len(dataset)
        True
    """

    def __init__(
        self, dataset: GeoDataset, size: Size | None = None, step: int | None = None, **kwargs: Any
    ) -> None:
        """Initialize a new CenterSceneSampler instance.

        Args:
            dataset: dataset to sample from.
            size: height and width of each patch in pixels (defaults to the whole scene).
            step: corners lie on multiples of this many pixels (defaults to the grid that all
                modalities of the dataset share, else 1).
            **kwargs: ``roi``, ``roi_crs``, ``toi``, ``seed``, ``num_replicas``, ``rank`` and
                ``shuffle``, see :class:`~.base.SceneSampler`.

        Raises:
            ValueError: if a patch fits into no scene.
        """
        super().__init__(dataset, **kwargs)
        step = grid_step(dataset, step)
        fitting = None if size is None else self._fitting(size)
        height, width = self.scenes[['height', 'width']].to_numpy().T
        size_px = fitting or (height, width)
        rows = (height - size_px[0]) // step // 2 * step
        cols = (width - size_px[1]) // step // 2 * step
        patches = patch_table(np.arange(len(self.scenes)), rows, cols, *size_px)
        self._keep(patches, whole=size is None)


class GridSceneSampler(SceneSampler):
    """Patches that cover every scene in a regular grid. The same in every epoch.

    The last patch of a row or column is moved inside the scene, so that patches never run over
    its edge and every pixel is covered.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> dataset = M3MCR.zoned(root, split='test')
        >>> len(GridSceneSampler(dataset, size=160, stride=80)) // len(dataset)
        9
    """

    def __init__(
        self, dataset: GeoDataset, size: Size, stride: Size | None = None, **kwargs: Any
    ) -> None:
        """Initialize a new GridSceneSampler instance.

        Args:
            dataset: dataset to sample from.
            size: height and width of each patch in pixels.
            stride: distance between patches in pixels (defaults to *size*).
            **kwargs: ``roi``, ``roi_crs``, ``toi``, ``seed``, ``num_replicas``, ``rank`` and
                ``shuffle``, see :class:`~.base.SceneSampler`.

        Raises:
            ValueError: if a patch fits into no scene.
        """
        super().__init__(dataset, **kwargs)
        size_px = self._fitting(size)
        stride_px = size_px if stride is None else size_pair('stride', stride)
        self._keep(_crossed(self.scenes, _overlapping, size_px, stride_px))


class TileSceneSampler(SceneSampler):
    """Tiles that cover every scene without overlap. The same in every epoch.

    For evaluation: no pixel counts twice. By default the tiles of a scene cover all of it; they
    differ in size by a step at most, so they come in batches of one. With *equal*, all tiles have
    the same size, and what is left at the right and lower edge of a scene is left out.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> dataset = M3MCR.zoned(root, split='test')
        >>> len(TileSceneSampler(dataset, size=100)) // len(dataset)
        9
    """

    def __init__(
        self,
        dataset: GeoDataset,
        size: Size,
        equal: bool = False,
        step: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialize a new TileSceneSampler instance.

        Args:
            dataset: dataset to sample from.
            size: height and width of each tile in pixels; without *equal*, the largest.
            equal: make all tiles of this size, and leave out what does not fill one.
            step: corners lie on multiples of this many pixels (defaults to the grid that all
                modalities of the dataset share, else 1).
            **kwargs: ``roi``, ``roi_crs``, ``toi``, ``seed``, ``num_replicas``, ``rank`` and
                ``shuffle``, see :class:`~.base.SceneSampler`.

        Raises:
            ValueError: if *size* is smaller than a step, or every scene smaller than an equal tile.
        """
        super().__init__(dataset, **kwargs)
        step = grid_step(dataset, step)
        size_px = self._fitting(size) if equal else size_pair('size', size)
        if min(size_px) < step:
            raise ValueError(f'size={size} must be at least {step} pixels, the step of the grid.')
        self._keep(_crossed(self.scenes, _equal if equal else _balanced, size_px, (step, step)))


def _crossed(
    scenes: pd.DataFrame,
    cut: Callable[[int, int, int], Pieces],
    size_px: tuple[int, int],
    pitch_px: tuple[int, int],
) -> pd.DataFrame:
    """Patches of all scenes, cut along both axes."""
    sizes = scenes[['height', 'width']].to_numpy().tolist()
    patches = [
        (scene, top, left, bottom - top, right - left)
        for scene, (height, width) in enumerate(sizes)
        for top, bottom in cut(height, size_px[0], pitch_px[0])
        for left, right in cut(width, size_px[1], pitch_px[1])
    ]
    return patch_table(*np.array(patches, np.int64).T)


def _overlapping(extent_px: int, size_px: int, stride_px: int) -> Pieces:
    """Starts and ends of patches that cover an extent, the last one moved inside."""
    last = extent_px - size_px
    return [(start, start + size_px) for start in (*range(0, last, stride_px), last)]


def _equal(extent_px: int, size_px: int, step_px: int) -> Pieces:
    """Starts and ends of pieces of one size, as many as fit."""
    pitch = -(-size_px // step_px) * step_px
    return [(start, start + size_px) for start in range(0, extent_px - size_px + 1, pitch)]


def _balanced(extent_px: int, size_px: int, step_px: int) -> Pieces:
    """Starts and ends of as few pieces as possible, as equal as can be, that cover an extent."""
    largest = size_px // step_px * step_px
    count = -(-extent_px // largest)
    steps = -(-extent_px // step_px)
    edges = [steps * i // count * step_px for i in range(count)] + [extent_px]
    return list(pairwise(edges))
