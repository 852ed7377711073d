"""Mapping scenes with Lightning: several devices and nodes share scenes, some rows each."""

import logging
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor
from torch.utils.data import DataLoader
from torchgeo.datamodules import BaseDataModule

from ...datasets.scene_spec import SceneSpec
from ..windows.network import fingerprint
from .job import MapJob
from .options import MapOptions
from .pair_reader import ScenePairReader
from .pairing import find_scenes, map_path
from .row_block_dataset import BLOCKS_PER_SAMPLE, RowBlockDataset

logger = logging.getLogger(__name__)


class MapDataModule(BaseDataModule):
    """Scenes to be mapped with ``trainer.predict``; goes with :class:`PredictionWriter`.

    Facts that are not given come from the task: ``task.scene_spec``, and the window and stride
    among its hyperparameters.
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
        """
        if bands_per_strip is not None:
            text = 'bands_per_strip is now called blocks_per_sample.'
            warnings.warn(text, DeprecationWarning, stacklevel=2)
            blocks_per_sample = bands_per_strip
        super().__init__(RowBlockDataset, batch_size=1, num_workers=num_workers)
        self.scenes = find_scenes(optical, sar, assets)
        self.output_dir = Path(output_dir)
        self.spec = spec
        self.options = options
        self.blocks_per_sample = blocks_per_sample
        self.num_workers = num_workers
        self.resume = resume

    def setup(self, stage: str) -> None:
        """Plan the maps.

        Args:
            stage: 'predict'; there is nothing to do for others.

        Raises:
            ValueError: If the task does not say what it expects, or slides otherwise.
            SceneError: If a scene cannot be read.
        """
        if stage != 'predict':
            return
        task = self.trainer.lightning_module if self.trainer else None
        spec = self.spec or getattr(task, 'scene_spec', None)
        if spec is None:
            raise ValueError(
                f'{type(task).__name__} does not say which bands and classes it knows. Give `spec`.'
            )
        jobs = [
            _plan(
                scene.optical_path, scene.sar_path, map_path(self.output_dir, scene), spec, options
            )
            for options in [_options(self.options, task)]
            for scene in self.scenes
        ]
        if self.resume and task is not None:
            model = fingerprint(task)
            jobs = [job for job in jobs if not job.is_published(model)]
        self.row_blocks = RowBlockDataset(jobs, self.blocks_per_sample, self.resume)

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

    def predict_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Data loader of the row blocks."""
        return DataLoader(self.row_blocks, batch_size=1, num_workers=self.num_workers)


class PredictionWriter(BasePredictionWriter):
    """Writes the maps of scenes that ``trainer.predict`` slides over.

    Every process keeps the row blocks that it has finished in files of their own; when all are
    there, they are put together. The map is the same as with one process.

    The data loader must be that of a :class:`MapDataModule`, or have a :class:`RowBlockDataset` as
    its dataset; ``predict_step`` must return a dict with the 'logits' (1, K, h, w) of a sample, or
    their 'probabilities'. With logits, the map is to the last bit that of
    :func:`~torchgeo_cloudseg.inference.predict_scene` with the same windows.
    """

    def __init__(self) -> None:
        """Initialize a new PredictionWriter instance."""
        super().__init__(write_interval='batch')

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the folders in which finished rows are kept.

        Args:
            trainer: The trainer.
            pl_module: The task.

        Raises:
            TypeError: If the data loader does not read row blocks.
            ResumeError: If there is unfinished work of a different run.
        """
        super().on_predict_start(trainer, pl_module)
        dataset = _dataset(trainer)
        model = fingerprint(pl_module)
        if trainer.is_global_zero:
            for job in dataset.jobs:
                job.store.prepare(job.manifest(model), dataset.resume)
        trainer.strategy.barrier('maps prepared')

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: dict[str, Tensor],
        batch_indices: Sequence[int] | None,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Keep the row blocks that a sample has finished.

        Args:
            trainer: The trainer.
            pl_module: The task.
            prediction: What ``predict_step`` returned.
            batch_indices: Indices of the samples.
            batch: The sample.
            batch_idx: Index of the batch.
            dataloader_idx: Index of the data loader.

        Raises:
            OutputError: If they cannot be written.
            ValueError: If the task gives pixels of another size than the map has.
        """
        index, start, stop = batch['place'][0].tolist()
        job = _dataset(trainer).jobs[index]
        plan = job.plan
        origin = plan.rows.starts_px[plan.first_row_reaching(start)]
        key = 'logits' if 'logits' in prediction else 'probabilities'
        scores, valid = prediction[key][0], batch['mask_valid'][0].cpu()
        expected = plan.to_output(valid.shape[0]), plan.to_output(valid.shape[1])
        if scores.shape[-2:] != expected:
            raise ValueError(
                f'{job.output_path}: the task gave {tuple(scores.shape[-2:])} pixels for a sample, '
                f'expected {expected}. Give the resolution and the `label_scale` that it has.'
            )
        for block in range(start, stop):
            top = plan.rows.starts_px[block] - origin
            low, high = plan.block_px(block)
            first = plan.to_output(top)
            rows = scores[:, first : first + high - low, : plan.output_size_px[1]]
            if key == 'logits':
                # by block: the last bit of an exponential may depend on the size of the array
                rows = rows.softmax(dim=0)
            under = valid[top : top + plan.image_rows(block)]
            job.store.write(block, job.block_arrays(rows, under))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the maps together, each on one of the processes.

        Args:
            trainer: The trainer.
            pl_module: The task.

        Raises:
            OutputError: If they cannot be written.
        """
        trainer.strategy.barrier('all rows are there')
        for job in _dataset(trainer).jobs[trainer.global_rank :: trainer.world_size]:
            job.publish()
        trainer.strategy.barrier('maps written')


def _dataset(trainer: Trainer) -> RowBlockDataset:
    """The dataset that is being predicted."""
    loaders: Any = trainer.predict_dataloaders
    dataset = getattr(loaders, 'dataset', None)
    if not isinstance(dataset, RowBlockDataset):
        raise TypeError(
            f'PredictionWriter writes maps of a RowBlockDataset, found '
            f'{type(dataset).__name__}. Use MapDataModule.'
        )
    return dataset


def _plan(
    optical_path: str, sar_path: str, output: Path, spec: SceneSpec, options: MapOptions
) -> MapJob:
    if 'reconstruction' in options.products:
        raise ValueError(
            "products: 'reconstruction' is written by predict_scene only; predict_step gives "
            'probabilities.'
        )
    with closing(ScenePairReader(optical_path, sar_path, spec, options.sar_resampling)) as scene:
        job = MapJob.of_scene(scene, output, options)
    if job.plan.scale != spec.label_scale:
        raise ValueError(
            f'resolution={options.resolution}: predict_step gives pixels of the label grid only. '
            "Give 'label', or use predict_scene."
        )
    return job


def _options(given: MapOptions | None, task: LightningModule | None) -> MapOptions:
    """Options with the windows over which the task slides."""
    hparams = dict(task.hparams) if task is not None else {}
    slides: dict[str, Any] = {
        key: hparams[key] for key in ('window', 'stride') if key in hparams
    } | {'blend': hparams.get('blend', 'average')}
    given = given or MapOptions()
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
