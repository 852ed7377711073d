"""Scenes as a dataset of strips, for Lightning's way of sharing work between devices."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from .job import MapJob
from .raster_io import SceneReader

#: Bands of rows per strip. Each strip is read with the windows above that reach into it.
BANDS_PER_STRIP = 8


class Place(NamedTuple):
    """A strip of a scene."""

    #: Index of the job.
    job: int
    #: First band and the one after the last.
    start: int
    stop: int


class SceneStrips(Dataset[dict[str, Tensor]]):
    """Strips of scenes, high enough that sliding over one finishes some bands of the map.

    Strips lie on the window plan of their scene, so windows, and results, are the same as when
    the whole scene is mapped at once. Heights differ: the batch size must be 1.

    ============== ========== ======= =========================================================
    key            shape      dtype   what
    ============== ========== ======= =========================================================
    ``image``      (C, H, W)  float32 optical image, 0..1
    ``image_sar``  (S, H, W)  float32 SAR image on the optical grid, 0..1
    ``mask_valid`` (H, W)     bool    where there is data
    ``place``      (3,)       int64   job, first band and the one after the last
    ============== ========== ======= =========================================================
    """

    def __init__(
        self,
        jobs: Sequence[MapJob],
        bands_per_strip: int = BANDS_PER_STRIP,
        resume: bool = False,
    ) -> None:
        """Initialize a new SceneStrips instance.

        Args:
            jobs: the scenes and their plans.
            bands_per_strip: bands of rows per strip; more cost memory, fewer cost time.
            resume: leave out what an interrupted run has finished.
        """
        self.jobs = list(jobs)
        self.resume = resume
        self.places = [
            Place(index, start, min(start + bands_per_strip, len(job.plan.rows)))
            for index, job in enumerate(self.jobs)
            for start in range(0, len(job.plan.rows), bands_per_strip)
        ]
        if resume:
            finished = [job.store.finished() for job in self.jobs]
            self.places = [
                place
                for place in self.places
                if not finished[place.job].issuperset(range(place.start, place.stop))
            ]
        self._open: tuple[int, int, SceneReader] | None = None

    def __len__(self) -> int:
        """Number of strips."""
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Read a strip.

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
        strip = self._reader(place.job).read(
            top, rows, (plan.rows.padded_px, plan.columns.padded_px)
        )
        return {
            'image': strip.optical,
            'image_sar': strip.sar,
            'mask_valid': strip.valid,
            'place': torch.tensor(place),
        }

    def _reader(self, job: int) -> SceneReader:
        """The open scene; opened anew in every process, since files cannot be shared."""
        key = (os.getpid(), job)
        if self._open is None or self._open[:2] != key:
            if self._open is not None and self._open[0] == os.getpid():
                self._open[2].close()
            facts = self.jobs[job]
            reader = SceneReader(
                facts.optical_path, facts.sar_path, facts.spec, facts.options.sar_resampling
            )
            self._open = (*key, reader)
        return self._open[2]

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind when a worker is started."""
        return {**self.__dict__, '_open': None}
