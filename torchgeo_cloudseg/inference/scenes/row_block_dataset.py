"""Scenes as a dataset of row blocks, for Lightning's way of sharing work between devices."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from .job import MapJob
from .pair_reader import ScenePairReader

#: Row blocks per sample. Each sample is read with the windows above that reach into it.
BLOCKS_PER_SAMPLE = 8


class Place(NamedTuple):
    """Consecutive row blocks of a scene."""

    #: Index of the job.
    job: int
    #: First row block and the one after the last.
    start: int
    stop: int


class RowBlockDataset(Dataset[dict[str, Tensor]]):
    """Rows of scenes, so many that sliding over a sample finishes some row blocks of the map.

    Samples lie on the window plan of their scene, so windows, and results, are the same as when
    the whole scene is mapped at once. Heights differ: the batch size must be 1.

    ============== ========== ======= =========================================================
    key            shape      dtype   what
    ============== ========== ======= =========================================================
    ``image``      (C, H, W)  float32 optical image, 0..1
    ``image_sar``  (S, H, W)  float32 SAR image on the optical grid, 0..1
    ``mask_valid`` (H, W)     bool    where there is data
    ``place``      (3,)       int64   job, first row block and the one after the last
    ============== ========== ======= =========================================================
    """

    def __init__(
        self,
        jobs: Sequence[MapJob],
        blocks_per_sample: int = BLOCKS_PER_SAMPLE,
        resume: bool = False,
    ) -> None:
        """Initialize a new RowBlockDataset instance.

        Args:
            jobs: the scenes and their plans.
            blocks_per_sample: row blocks per sample; more cost memory, fewer cost time.
            resume: leave out what an interrupted run has finished.
        """
        self.jobs = list(jobs)
        self.resume = resume
        self.places = [
            Place(index, start, min(start + blocks_per_sample, len(job.plan.rows)))
            for index, job in enumerate(self.jobs)
            for start in range(0, len(job.plan.rows), blocks_per_sample)
        ]
        if resume:
            finished = [job.store.finished() for job in self.jobs]
            self.places = [
                place
                for place in self.places
                if not finished[place.job].issuperset(range(place.start, place.stop))
            ]
        self._open: tuple[int, int, ScenePairReader] | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Read a sample.

        Args:
            index: which one.

        Returns:
            the sample.

        Raises:
            SceneError: if a file cannot be read.
        """
        place = self.places[index]
        plan = self.jobs[place.job].plan
        starts = plan.rows.starts_px
        top = starts[plan.first_row_reaching(place.start)]
        rows = starts[place.stop - 1] + plan.rows.window_px - top
        under = self._reader(place.job).read(
            top, rows, (plan.rows.padded_px, plan.columns.padded_px)
        )
        return {
            'image': under.optical,
            'image_sar': under.sar,
            'mask_valid': under.valid,
            'place': torch.tensor(place),
        }

    def _reader(self, job: int) -> ScenePairReader:
        """The open scene; opened anew in every process, since files cannot be shared."""
        key = (os.getpid(), job)
        if self._open is None or self._open[:2] != key:
            if self._open is not None and self._open[0] == os.getpid():
                self._open[2].close()
            facts = self.jobs[job]
            reader = ScenePairReader(
                facts.optical_path, facts.sar_path, facts.spec, facts.options.sar_resampling
            )
            self._open = (*key, reader)
        return self._open[2]

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind when a worker is started."""
        return {**self.__dict__, '_open': None}
