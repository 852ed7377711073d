"""Calibrating a network while a trainer tests it on scenes that it has not been trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from ..metrics import CalibrationMetrics
from ..metrics.calibration import calibration_table, opacity_titles
from ..metrics.confusion import is_counted
from ..models import Calibration
from ..models.calibration import OPACITY_EDGES
from .evaluation import Batch

#: Labeled pixels that are kept, drawn from all scenes alike.
PIXELS = 500_000


class CalibrationFit(Callback):
    """Fit temperatures and class sets to the scenes of a test, which memory does not grow with.

    The trainer must test on scenes that the network has neither been trained nor is judged on:
    those of the validation.

    Attributes:
        calibration: what was found, when the test is over.
        logits: logits (N, K) of the pixels that it was fitted to.
        labels: their classes (N,).
        opacity: opacity of the clouds over them (N,), or None.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> fit = CalibrationFit(coverage=0.95)
        >>> trainer = Trainer(callbacks=[fit], logger=False)
    """

    calibration: Calibration

    def __init__(
        self, coverage: float = 0.9, edges: Sequence[float] = OPACITY_EDGES, pixels: int = PIXELS
    ) -> None:
        """Initialize a new CalibrationFit instance.

        Args:
            coverage: share of pixels, 0..1, whose set is to hold the true class.
            edges: opacities at which bins meet.
            pixels: most pixels that are kept.

        Raises:
            ValueError: if *coverage* or *edges* make no sense.
        """
        super().__init__()
        Calibration((1.0,) * (len(edges) + 1), (), coverage, tuple(edges))
        self.coverage = coverage
        self.edges = tuple(edges)
        self.pixels = pixels

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to draw pixels.

        Args:
            trainer: the trainer.
            pl_module: the task.

        Raises:
            ValueError: if several processes share the scenes.
        """
        if trainer.world_size > 1:
            raise ValueError(
                f'found {trainer.world_size} processes, of which each would calibrate with its own '
                'scenes. Use one: --trainer.devices 1.'
            )
        self.generator = torch.Generator().manual_seed(0)
        # of each pixel: its place in the draw, class, opacity and logits
        self.kept = torch.empty(0)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw pixels of a batch.

        Args:
            trainer: the trainer.
            pl_module: the task.
            outputs: what ``test_step`` of a task of this package gave.
            batch: the batch.
            batch_idx: its number.
            dataloader_idx: number of the data loader.
        """
        logits: Tensor = outputs['logits']
        opacity: Tensor | None = outputs['opacity']
        target = batch['mask'].long()
        ignored: Any = pl_module.hparams['ignore_index']
        counted = is_counted(target, logits.shape[1], ignored)
        parts = [target[:, None], torch.zeros_like(logits[:, :1]) if opacity is None else opacity]
        pixels = torch.cat([*parts, logits], dim=1).float().movedim(1, -1)[counted].cpu()
        drawn = torch.rand(len(pixels), 1, generator=self.generator)
        rows = torch.cat([drawn, pixels], dim=1)
        kept = torch.cat([self.kept, rows]) if len(self.kept) else rows
        if len(kept) > self.pixels:
            kept = kept[kept[:, 0].topk(self.pixels, largest=False).indices]
        self.kept, self.tells_opacity = kept, opacity is not None

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fit to the pixels.

        Args:
            trainer: the trainer.
            pl_module: the task.
        """
        _, labels, opacity, *logits = self.kept.unbind(dim=1)
        self.logits, self.labels = torch.stack(logits, dim=1), labels.long()
        self.opacity = opacity if self.tells_opacity else None
        pixels = self.logits, self.labels, self.opacity
        self.calibration = Calibration.fit(*pixels, self.edges, self.coverage)

    def table(self) -> list[dict[str, Any]]:
        """What was found, and what it changes on the pixels that it was fitted to.

        Returns:
            rows of ``pixels of``, ``pixels``, ``temperature``, ``ECE before``, ``ECE``,
            ``coverage`` and ``set_size``: of all pixels, and of each bin with pixels.
        """
        found = self.calibration
        logits = self.logits.T[None, :, :, None]
        opacity = None if self.opacity is None else self.opacity[None, None, :, None]
        tables = []
        for known in (replace(found, temperatures=(1.0,) * len(found.temperatures)), found):
            probabilities = known.probabilities(logits, opacity)
            metrics = CalibrationMetrics(logits.shape[1], edges=found.edges)
            metrics.update(
                probabilities,
                self.labels[None, :, None],
                torch.zeros(1, len(self.labels), 1),
                opacity,
                known.sets(probabilities, opacity),
            )
            tables.append(calibration_table(metrics.totals(), found.edges))
        bins = opacity_titles(found.edges)
        temperatures = dict(zip(bins or ('all',), found.temperatures, strict=True))
        return [
            {**row, 'ECE before': old['ECE'], 'temperature': temperatures.get(row['pixels of'])}
            for old, row in zip(*tables, strict=True)
            if row['pixels of'] in ('all', *bins)
        ]
