"""Random patches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from torchgeo.datasets import GeoDataset

from .base import SceneSampler, Size, grid_step, whole
from .region import corner_runs
from .scene_frames import patch_table


class RandomSceneSampler(SceneSampler):
    """Random patches inside scenes, each scene drawn in proportion to its area.

    Corners lie on multiples of *step* pixels from the scene's upper left corner, the last one that
    fits included, and each is equally likely. Scenes are drawn by systematic sampling: in an epoch
    every scene has its share of the patches, to within one. With as many patches as there are
    scenes of equal size, each is drawn once, as in the authors' training. Of a scene that lies
    partly within the region of interest, that part counts.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> dataset = M3MCR.zoned(root, split='train')
        >>> sampler = RandomSceneSampler(dataset, size=160, length=4, seed=0)
        >>> query = next(iter(sampler))
        >>> tuple(dataset[query]['image'].shape)
        (4, 160, 160)
    """

    def __init__(
        self,
        dataset: GeoDataset,
        size: Size,
        length: int | None = None,
        step: int | None = None,
        **kwargs: Any,
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
            **kwargs: ``roi``, ``roi_crs``, ``toi``, ``seed``, ``num_replicas``, ``rank`` and
                ``shuffle``, see :class:`~.base.SceneSampler`.

        Raises:
            ValueError: if a patch fits into no scene, or *length* is not positive.
        """
        super().__init__(dataset, **kwargs)
        self.size_px = self._fitting(size)
        height, width = self.scenes[['height', 'width']].to_numpy().T
        self._step = grid_step(dataset, step)
        self._rows = (height - self.size_px[0]) // self._step + 1
        self._cols = (width - self.size_px[1]) // self._step + 1
        self._areas = (height * width).astype(float)
        fitting = (height // self.size_px[0]) * (width // self.size_px[1])
        #: Corners in scenes that lie partly within the region of interest.
        self._runs = {}
        for scene, region in enumerate(self.scenes['region']):
            if region is not None:
                runs = self._runs[scene] = corner_runs(region, self.size_px, self._step)
                self._areas[scene] = region.area if len(runs) else 0
                fitting[scene] = np.ceil(self._areas[scene] / (self.size_px[0] * self.size_px[1]))
        self._require_any(self._areas.sum())
        length = whole('length', fitting.sum() if length is None else length)
        # DDP waits for every rank at every step: all must have the same number of patches
        self._length = -(-length // self.num_replicas) * self.num_replicas

    def patches(self) -> pd.DataFrame:
        """Table of random patches of the current epoch, of all ranks together."""
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.scenes))
        order = order[self._areas[order] > 0]
        shares = np.cumsum(self._areas[order])
        ticks = (rng.random() + np.arange(self._length)) * (shares[-1] / self._length)
        chosen = np.minimum(np.searchsorted(shares, ticks, side='right'), len(order) - 1)
        scenes = rng.permutation(order[chosen])
        rows = rng.integers(self._rows[scenes]) * self._step
        cols = rng.integers(self._cols[scenes]) * self._step
        for scene in np.intersect1d(scenes, list(self._runs)):
            here, runs = np.flatnonzero(scenes == scene), self._runs[scene]
            ends = np.cumsum(runs[:, 2])
            number = rng.integers(ends[-1], size=len(here))
            run = np.searchsorted(ends, number, side='right')
            rows[here] = runs[run, 0]
            cols[here] = runs[run, 1] + (ends[run] - 1 - number) * self._step
        return patch_table(scenes, rows, cols, *self.size_px)
