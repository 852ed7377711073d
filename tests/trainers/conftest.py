from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from torchgeo_cloudseg.datamodules import M3MCRDataModule

#: Batches of two patches of 40 px: 8 patches are an epoch of four steps.
SMALL = {'batch_size': 2, 'patch_size': 40, 'length': 8, 'seed': 3}


class Losses(Callback):
    """Loss of every training step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *args: Any
    ) -> None:
        self.values.append(float(outputs['loss']))


Fit = Callable[..., tuple[Trainer, list[float]]]


@pytest.fixture
def fit(miniature: Path, tmp_path: Path) -> Fit:
    """Fit a task on miniature data; returns the trainer and the loss of every step."""

    def run(
        task: LightningModule,
        ckpt_path: Path | None = None,
        data: Mapping[str, Any] | None = None,
        seed: int = 0,
        callbacks: tuple[Callback, ...] = (),
        **options: Any,
    ) -> tuple[Trainer, list[float]]:
        seed_everything(seed, verbose=False)
        losses = Losses()
        checkpoint = ModelCheckpoint(
            tmp_path / 'checkpoints', save_last=True, save_on_exception=True
        )
        trainer = Trainer(
            **{
                'max_epochs': 1,
                'accelerator': 'cpu',
                'logger': False,
                'enable_progress_bar': False,
                'enable_model_summary': False,
                'num_sanity_val_steps': 0,
                'callbacks': [losses, checkpoint, *callbacks],
            }
            | options
        )
        datamodule = M3MCRDataModule(root=miniature, **SMALL | dict(data or {}))
        trainer.fit(task, datamodule, ckpt_path=ckpt_path)
        return trainer, losses.values

    return run
