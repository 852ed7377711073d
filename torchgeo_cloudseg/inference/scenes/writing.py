"""Maps written by Lightning: each process keeps its rows, and they are put together."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from ..._files import OutputError, check_outputs, owning
from .row_block_data import RowBlockDataset


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
        self._owned = ExitStack()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the maps, and make the folders in which finished rows are kept.

        Args:
            trainer: The trainer.
            pl_module: The task.

        Raises:
            TypeError: If the data loader does not read row blocks.
            ValueError: If a map would replace an input, or another map.
            FileExistsError: If a map is there already.
            ResumeError: If there is unfinished work of a different run.
            OutputError: If another run has a map, or it cannot be written.
        """
        super().on_predict_start(trainer, pl_module)
        dataset = _dataset(trainer)
        if trainer.is_global_zero:
            check_outputs(
                chain.from_iterable(job.outputs().values() for job in dataset.jobs),
                chain.from_iterable(job.inputs for job in dataset.jobs),
                overwrite=True,
            )
            for job in dataset.jobs:
                job.output_path.parent.mkdir(parents=True, exist_ok=True)
                self._owned.enter_context(owning(job.output_path, dataset.wait))
                self._owned.callback(job.store.remove_if_empty)
                job.prepare(dataset.overwrite, dataset.resume)
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
            # by block: the last bit of an exponential may depend on the size of the array
            rows = rows.softmax(dim=0) if key == 'logits' else rows
            job.store.write(block, job.block_arrays(block, rows, valid[top:]))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the maps together, each on one of the processes.

        Args:
            trainer: The trainer.
            pl_module: The task.

        Raises:
            ExceptionGroup: If scenes could not be mapped, or maps not be written.
        """
        trainer.strategy.barrier('all rows are there')
        dataset = _dataset(trainer)
        problems = list(dataset.problems.values())
        for job in dataset.jobs[trainer.global_rank :: trainer.world_size]:
            try:
                job.publish()
            except OutputError as problem:
                problems.append(problem)
        trainer.strategy.barrier('maps written')
        self._owned.close()
        if problems:
            count = len(dataset.jobs) + len(dataset.problems)
            text = f'{len(problems)} of {count} scenes were not mapped'
            raise ExceptionGroup(text, problems)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give the maps back.

        Args:
            trainer: The trainer.
            pl_module: The task.
            exception: What went wrong.
        """
        self._owned.close()


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
