"""Rows of scenes for Lightning: several devices and nodes share scenes, some rows each."""

import logging
import os
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchgeo.datamodules import BaseDataModule

from ...datasets.products import Faults
from ...datasets.scene_spec import SceneSpec
from ...models import Calibration
from ..windows.network import fingerprint
from .batch import FAULTS
from .dates import SceneDates
from .job import MapJob
from .options import MapOptions
from .pair_reader import ScenePairReader
from .pairing import ScenePair, find_scenes, map_path

logger = logging.getLogger(__name__)

#: Row blocks per sample. Each sample is read with the windows above that reach into it.
BLOCKS_PER_SAMPLE = 8


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
        overwrite: bool = False,
        wait: bool = False,
    ) -> None:
        """Initialize a new RowBlockDataset instance.

        Args:
            jobs: the scenes and their plans.
            blocks_per_sample: row blocks per sample; more cost memory, fewer cost time.
            resume: leave out what an interrupted run has finished.
            overwrite: replace maps that exist.
            wait: wait for another run that writes the same maps.
        """
        self.jobs = list(jobs)
        #: What was wrong with scenes that have no job, by name.
        self.problems: dict[str, Exception] = {}
        self.resume, self.overwrite, self.wait = resume, overwrite, wait
        finished = [job.store.finished() if resume else set() for job in self.jobs]
        #: Index of the job, first row block and the one after the last, by sample.
        self.places = [
            (index, start, stop)
            for index, job in enumerate(self.jobs)
            for start in range(0, len(job.plan.rows), blocks_per_sample)
            for stop in [min(start + blocks_per_sample, len(job.plan.rows))]
            if not finished[index].issuperset(range(start, stop))
        ]
        self._open: tuple[tuple[int, int], ScenePairReader] | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Read a sample.

        Args:
            index: which one.

        Returns:
            the sample; one that cannot be read is said to be so, and finishes no row block.
        """
        job, start, stop = self.places[index]
        plan = self.jobs[job].plan
        starts = plan.rows.starts_px
        top = starts[plan.first_row_reaching(start)]
        rows = starts[stop - 1] + plan.rows.window_px - top
        try:
            optical, sar, valid = self._reader(job).read(top, rows, plan.columns.padded_px)
        except FAULTS as problem:
            logger.error('%s: not mapped. %s', self.jobs[job].output_path, problem)
            return self._nothing(job, start)
        images = {'image': optical[0], 'image_sar': sar[0], 'mask_valid': valid[0]}
        return {**images, 'place': torch.tensor(self.places[index])}

    def _nothing(self, index: int, block: int) -> dict[str, Tensor]:
        """A sample of one window without data."""
        plan, spec = self.jobs[index].plan, self.jobs[index].spec
        size = plan.rows.window_px, plan.columns.padded_px
        bands = {'image': len(spec.optical_bands), 'image_sar': len(spec.sar_bands)}
        images = {key: torch.zeros(count, *size) for key, count in bands.items()}
        place = torch.tensor((index, block, block))
        return {**images, 'mask_valid': torch.zeros(size), 'place': place}

    def _reader(self, index: int) -> ScenePairReader:
        """The open scene; opened anew in every process, since files cannot be shared."""
        key = os.getpid(), index
        if self._open is None or self._open[0] != key:
            job = self.jobs[index]
            (paths,), how = job.paths, job.options
            # files are closed with the last reference to them
            scene = ScenePairReader(*paths, job.spec, how.sar_resampling, how.sar_unit)
            self._open = key, scene
        return self._open[1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind when a worker is started."""
        return {**self.__dict__, '_open': None}


class MapDataModule(BaseDataModule):
    """Scenes to be mapped with ``trainer.predict``; goes with :class:`PredictionWriter`.

    Facts that are not given come from the task: ``task.scene_spec``, and the window and stride
    among its hyperparameters.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> from torchgeo_cloudseg.inference import PredictionWriter
        >>> from torchgeo_cloudseg.trainers import CloudSegTeacherTask
        >>> optical, sar = (str(root / f'test/{x}_*/*/*.tif') for x in ('planet_cloudy', 'S1'))
        >>> facts = M3MCR.published_spec(num_classes=6)
        >>> datamodule = MapDataModule(optical, sar, str(folder), facts)
        >>> trainer = Trainer(callbacks=PredictionWriter(), enable_progress_bar=False, logger=False)
        >>> task = CloudSegTeacherTask(backbone='mit_b0', image_key='image')
        >>> _ = trainer.predict(task, datamodule, return_predictions=False)
        >>> [path.name for path in folder.glob('*.tif')]
        ['planet_cloudy_fall_1_p_1_map.tif']
    """

    def __init__(
        self,
        optical: str | list[str],
        sar: str | list[str] | None,
        output_dir: str,
        spec: SceneSpec | None = None,
        options: MapOptions | None = None,
        assets: tuple[str, str] = ('optical', 'sar'),
        blocks_per_sample: int = BLOCKS_PER_SAMPLE,
        num_workers: int = 0,
        resume: bool = False,
        bands_per_strip: int | None = None,
        overwrite: bool = False,
        wait: bool = False,
    ) -> None:
        """Initialize a new MapDataModule instance.

        Args:
            optical: Optical images, see :func:`~torchgeo_cloudseg.inference.find_scenes`.
            sar: SAR images.
            output_dir: Folder of the maps, on a file system that all processes share.
            spec: Bands, ranges and classes.
            options: How to map and what to write; windows must be those of the task.
            assets: Keys of the optical and the SAR asset in a STAC item.
            blocks_per_sample: Row blocks per sample; more cost memory, fewer cost time.
            num_workers: Number of workers that read.
            resume: Carry on where an interrupted run stopped.
            bands_per_strip: Deprecated, the earlier name of *blocks_per_sample*.
            overwrite: Replace maps that exist.
            wait: Wait for another run that writes the same maps, rather than refuse.
        """
        if bands_per_strip is not None:
            text = 'bands_per_strip is now called blocks_per_sample.'
            warnings.warn(text, DeprecationWarning, stacklevel=2)
            blocks_per_sample = bands_per_strip
        super().__init__(RowBlockDataset, batch_size=1, num_workers=num_workers)
        self.faults: Faults = {}
        self.scenes = find_scenes(optical, sar, assets, faults=self.faults)
        self.output_dir = Path(output_dir)
        self.spec = spec
        self.options = options
        self.blocks_per_sample = blocks_per_sample
        self.num_workers = num_workers
        self.resume = resume
        self.overwrite = overwrite
        self.wait = wait

    def setup(self, stage: str) -> None:
        """Do nothing: what the task knows is restored from its checkpoint only afterwards.

        Args:
            stage: 'predict'.
        """

    def predict_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Plan the maps; scenes that cannot be mapped are reported after the others.

        Returns:
            Data loader of the row blocks.

        Raises:
            ValueError: If the task does not say what it expects, or slides otherwise, or if no
                scene can be mapped.
        """
        task = self.trainer.lightning_module if self.trainer else None
        spec = self.spec or getattr(task, 'scene_spec', None)
        if spec is None:
            raise ValueError(
                f'{type(task).__name__} does not say which bands and classes it knows. Give `spec`.'
            )
        options = _options(self.options or MapOptions(), task)
        network = '' if task is None else fingerprint(task)
        known = getattr(getattr(task, 'model', None), 'calibration', Calibration())
        facts = spec, options, network, known
        jobs: list[MapJob] = []
        problems: dict[str, Exception] = {}
        for scene in self.scenes:
            try:
                for path in scene[1:3]:
                    if path in self.faults:
                        raise self.faults[path]
                jobs.append(_plan(scene, self.output_dir, *facts))
            except FAULTS as problem:
                if len(self.scenes) == 1:
                    raise
                logger.error('%s: not mapped. %s', scene.name, problem)
                problems[scene.name] = problem
        if not jobs:
            texts = map(str, problems.values())
            raise ValueError('\n  '.join(['No scene can be mapped:', *texts]))
        if self.resume:
            jobs = [job for job in jobs if not job.is_published()]
        rules = self.resume, self.overwrite, self.wait
        row_blocks = RowBlockDataset(jobs, self.blocks_per_sample, *rules)
        row_blocks.problems = problems
        return DataLoader(row_blocks, batch_size=1, num_workers=self.num_workers)

    def on_after_batch_transfer(
        self, batch: dict[str, Tensor], dataloader_idx: int
    ) -> dict[str, Tensor]:
        """Leave rows as they are: they are scaled when they are read.

        Args:
            batch: A sample.
            dataloader_idx: The index of the dataloader.

        Returns:
            the same.
        """
        return batch


def _plan(
    scene: ScenePair,
    output_dir: Path,
    spec: SceneSpec,
    options: MapOptions,
    network: str,
    calibration: Calibration,
) -> MapJob:
    """The map of a scene, if the task can make it."""
    if beside := {'cloud', 'reconstruction', 'sets'} & set(options.products):
        raise ValueError(
            f'products: {sorted(beside)} are written by predict_scene only; predict_step gives '
            'probabilities.'
        )
    how = options.sar_resampling, options.sar_unit
    with closing(SceneDates(scene.paths, spec, *how)) as dates:
        job = MapJob.of_scene(dates, map_path(output_dir, scene), options, network, calibration)
    if {job.plan.scale, job.plan.across} != {spec.label_scale}:
        raise ValueError(
            f'resolution={options.resolution}: predict_step gives pixels of the label grid only. '
            "Give 'label', or use predict_scene."
        )
    return job


def _options(given: MapOptions, task: LightningModule | None) -> MapOptions:
    """Options with the windows over which the task slides."""
    hparams = {'blend': 'average', **(task.hparams if task is not None else {})}
    slides = {key: hparams[key] for key in ('window', 'stride', 'blend') if key in hparams}
    differing = {
        key: (value, getattr(given, key))
        for key, value in slides.items()
        if getattr(given, key) not in (value, None)
    }
    if differing:
        raise ValueError(
            'The task slides over windows otherwise than `options` say (task, options): '
            f'{differing}. Leave them out of `options`.'
        )
    return replace(given, **slides)
