"""Trains a student on one process or several; a script, because processes start it again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from sync_batchnorm import SyncBatchNormPlugin

from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.trainers import CloudSegStudentTask

#: Patches of all processes together in a step.
GLOBAL_BATCH = 4


class Record(Callback):
    """Mean over the processes of the loss of each step, and the places each process has seen."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.places: list[list[float]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self.losses.append(float(pl_module.all_gather(outputs['loss'].detach()).mean()))
        corners = pl_module.all_gather(batch['bounds'][:, [0, 3]]).reshape(-1, 2)
        self.places += corners.tolist()


def train(root: str, teacher: str, output: str, devices: int, strategy: str) -> None:
    """Train for an epoch of four steps."""
    seed_everything(0, verbose=False)
    task = CloudSegStudentTask(teacher, backbone='mit_b0', lr=1e-4, drop_path=0.0)
    data = M3MCRDataModule(
        root=root, batch_size=GLOBAL_BATCH // devices, patch_size=60, length=4 * GLOBAL_BATCH
    )
    record = Record()
    trainer = Trainer(
        accelerator='cpu',
        devices=devices,
        strategy=strategy,
        plugins=[SyncBatchNormPlugin()],
        # Adam makes whole steps of rounding errors: in float32 the fourth loss differs by 0.5 %
        precision='64-true',
        max_epochs=1,
        callbacks=[record],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(task, data)
    if trainer.is_global_zero:
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        result = {'losses': record.losses, 'places': record.places, 'scores': scores}
        Path(output).write_text(json.dumps(result))


if __name__ == '__main__':
    torch.set_num_threads(1)
    train(*sys.argv[1:4], devices=int(sys.argv[4]), strategy=sys.argv[5])
