"""What all samplers of this package share: scenes, seeds, epochs and shards."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import torch.distributed as dist
from shapely.geometry.base import BaseGeometry
from torch.utils.data import DistributedSampler
from torchgeo.datasets import GeoDataset

from ..datasets.query import SceneSlice
from .scene_frames import Times, find_scenes, queries, within_roi

logger = logging.getLogger(__name__)

#: Height and width in pixels, or one number for both.
Size = int | tuple[int, int]


class SceneSampler(DistributedSampler[SceneSlice]):
    """Base of samplers that draw patches inside scenes, on each scene's pixel grid.

    A subclass describes the patches of an epoch as a table: it calls :meth:`_keep` with those that
    are the same in every epoch, or overrides :meth:`patches` and :meth:`epoch_length`.

    A sampler of this kind shards itself: rank *r* of *n* takes every *n*-th patch of an epoch that
    is the same on all ranks. Because it is a :class:`torch.utils.data.DistributedSampler`,
    Lightning leaves it as it is and calls :meth:`set_epoch`.

    Example:
        >>> import shapely
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> from torchgeo_cloudseg.samplers import GridSceneSampler
        >>> dataset = M3MCR.zoned(root, split='test')
        >>> asia = shapely.box(60, 0, 150, 60)
        >>> sampler = GridSceneSampler(dataset, size=160, roi=asia, roi_crs='EPSG:4326')
        >>> isinstance(sampler, SceneSampler), len(sampler) // len(dataset)
        (True, 4)
    """

    def __init__(
        self,
        dataset: GeoDataset,
        roi: BaseGeometry | None = None,
        roi_crs: pyproj.CRS | str | None = None,
        toi: Times | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = False,
    ) -> None:
        """Initialize a new SceneSampler instance.

        Args:
            dataset: dataset to sample from.
            roi: region of interest; patches that do not lie within are left out.
            roi_crs: CRS of *roi* (defaults to the CRS of *dataset*).
            toi: time of interest; scenes outside are left out. An interval, a tuple or slice of
                start and stop; times with a time zone are brought to UTC.
            seed: seed of everything random; the same on all ranks.
            num_replicas: number of processes (defaults to that of the process group).
            rank: position among them (defaults to that in the process group).
            shuffle: draw the patches in another order in every epoch.

        Raises:
            TypeError: if *roi* is no single shape.
            ValueError: if no scene is left.
        """
        grouped = dist.is_available() and dist.is_initialized()
        super().__init__(
            dataset,
            num_replicas=num_replicas or (dist.get_world_size() if grouped else 1),
            rank=rank if rank is not None else (dist.get_rank() if grouped else 0),
            shuffle=shuffle,
            seed=seed,
        )
        self.scenes = find_scenes(dataset, roi, roi_crs, toi)
        self._skipped = 0

    def _keep(self, patches: pd.DataFrame, whole: bool = False) -> None:
        """Draw these patches in every epoch, as far as they lie within the region of interest.

        Args:
            patches: table of patches within scenes, see :mod:`~.scene_frames`.
            whole: True where patches are rectangles around whole scenes, which need not fill them.

        Raises:
            ValueError: if there is none.
        """
        inside = within_roi(self.scenes, patches)
        if whole:
            inside |= ~self.scenes['cut'].to_numpy()[patches['scene']]
        self._patches = patches[inside]
        self._length = len(self._patches)
        self._require_any(self._length)

    def _fitting(self, size: Any) -> tuple[int, int]:
        """Height and width of patches; scenes into which they do not fit are left out.

        Args:
            size: height and width in pixels, or one number for both.

        Returns:
            height and width in pixels.

        Raises:
            ValueError: if a side is not a positive whole number, or all scenes are smaller.
        """
        height, width = size_pair('size', size)
        fits = (self.scenes['height'] >= height) & (self.scenes['width'] >= width)
        if not fits.all():
            first = self.scenes[~fits].iloc[0]
            text = (
                f'{type(self).__name__}: a patch of {height} x {width} px does not fit into '
                f'{(~fits).sum()} of {len(self.scenes)} scenes, such as {first["name"]} '
                f'({first["height"]} x {first["width"]} px).'
            )
            if not fits.any():
                raise ValueError(f'{text} Use smaller patches.')
            logger.warning('%s They are left out; use smaller patches to have them.', text)
            self.scenes = self.scenes[fits]
        return height, width

    def _require_any(self, count: float) -> None:
        """Refuse a region that is too small for a patch."""
        if not count:
            raise ValueError(
                f'{type(self).__name__}: no patch lies within what a region of interest, or the '
                f'outline of a warped or clipped scene, leaves of {len(self.scenes)} scenes. Use '
                'smaller patches or a larger `roi`.'
            )

    def skip(self, patches: int) -> None:
        """Leave out the first patches of this rank, in the next iteration only.

        Args:
            patches: how many.
        """
        self._skipped = patches

    def patches(self) -> pd.DataFrame:
        """Table of the current epoch's patches, of all ranks together, before they are shuffled."""
        return self._patches

    def epoch_length(self) -> int:
        """Number of patches in an epoch, of all ranks together."""
        return self._length

    def __iter__(self) -> Iterator[SceneSlice]:
        """Iterate over this rank's patches of the current epoch.

        Yields:
            ``(x, y, t)`` slices to index a dataset.
        """
        start, self._skipped = self._skipped, 0
        patches = self.patches()
        if self.shuffle:
            rng = np.random.default_rng((self.seed, self.epoch, 1))
            patches = patches.iloc[rng.permutation(len(patches))]
        shard = patches.iloc[self.rank :: self.num_replicas]
        yield from queries(self.scenes, shard.iloc[start:])

    def __len__(self) -> int:
        """Number of this rank's patches in an epoch."""
        return len(range(self.rank, self.epoch_length(), self.num_replicas))


def whole(name: str, value: Any, least: str = '1') -> int:
    """A positive whole number, of whatever type.

    Args:
        name: name of the argument, for the message.
        value: what was given.
        least: the smallest number, in words.

    Returns:
        the number.

    Raises:
        ValueError: if it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if not (number >= 1 and number.is_integer()):
        raise ValueError(f'{name}={value} must be at least {least}, and a whole number.')
    return int(number)


def size_pair(name: str, size: Any) -> tuple[int, int]:
    """Height and width from one number or two.

    Args:
        name: name of the argument, for the message.
        size: pixels.

    Returns:
        height and width.

    Raises:
        ValueError: if a side is not a positive whole number.
    """
    sides = [size] if size is None or np.ndim(size) == 0 else list(size)
    if len(sides) not in (1, 2):
        raise ValueError(f'{name}={size}: expected one number of pixels, or height and width.')
    height, width = sides * 2 if len(sides) == 1 else sides
    least = 'one pixel on each side'
    return whole(name, height, least), whole(name, width, least)


def grid_step(dataset: GeoDataset, step: int | None) -> int:
    """Pixels between the corners of the grid that all modalities of a data set share.

    Args:
        dataset: any GeoDataset.
        step: what was asked for.

    Returns:
        *step*, else what the data set declares as ``grid_step_px``, else 1.

    Raises:
        ValueError: if *step* is not a positive whole number.
    """
    return whole('step', getattr(dataset, 'grid_step_px', 1) if step is None else step)
