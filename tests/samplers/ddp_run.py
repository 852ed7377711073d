"""Runs Lightning on several processes and notes what each sees; a script, that they start again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torchmetrics import SumMetric

from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.metrics import RegionMetrics
from torchgeo_cloudseg.samplers import GridSceneSampler

Batch = dict[str, Any]


class Data(M3MCRDataModule):
    """M3M-CR, validated on a grid of patches instead of centers."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if self.val_dataset is not None:
            self.val_sampler = GridSceneSampler(self.val_dataset, self.patch_size)


class Task(LightningModule):
    """As small as can be, and with metrics over the whole epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.samples = SumMetric()
        self.metrics = RegionMetrics(6)
        self.seen: list[list[Any]] = []
        self.samplers: dict[str, str] = {}

    def note(self, stage: str, batch: Batch) -> None:
        for bounds, scene in zip(batch['bounds'], batch['scene'], strict=True):
            self.seen.append([stage, self.current_epoch, int(scene), *bounds[[0, 3]].tolist()])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.note('train', batch)
        self.samplers['train'] = type(self.trainer.train_dataloader.sampler).__name__
        loss: Tensor = (self.scale * batch['image'].mean()) ** 2
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.note('val', batch)
        self.samplers['val'] = type(self.trainer.val_dataloaders.sampler).__name__
        self.samples.update(len(batch['image']))
        # any rule will do, as long as it is the same on one process and on several
        brightness = batch['image'].mean(1)[:, ::10, ::10].repeat_interleave(3, 1)
        guess = (brightness.repeat_interleave(3, 2) * 6).long().clamp(0, 5)
        self.metrics.update(guess, batch['mask'], batch['mask_cloud'])

    def on_validation_epoch_end(self) -> None:
        self.log('samples', self.samples.compute())
        self.log_dict(self.metrics.compute())
        self.samples.reset()
        self.metrics.reset()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def run(root: str, output: str, devices: int, *lists: str) -> None:
    """Train and validate for two epochs; then validate on each of some lists of scenes."""
    task = Task()
    options: dict[str, Any] = {'root': root, 'batch_size': 2, 'seed': 5}
    trainer = Trainer(
        accelerator='cpu',
        devices=devices,
        strategy='ddp' if devices > 1 else 'auto',
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(task, Data(patch_size=100, length=8, **options))
    result: dict[str, Any] = {'seen': task.seen, 'samplers': task.samplers, 'scores': []}
    path = Path(output, f'{devices}-{trainer.global_rank}.json')
    for scenes in (*lists, None):
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        result['scores'].append(scores)
        # each time: an error on one process ends the others
        path.write_text(json.dumps(result))
        if scenes is not None:
            try:
                data = Data(patch_size=300, val_list=scenes, **options)
                trainer.validate(task, data, verbose=False)
            except MisconfigurationException as error:
                path.write_text(json.dumps(result | {'error': str(error)}))
                return


if __name__ == '__main__':
    torch.set_num_threads(1)
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
