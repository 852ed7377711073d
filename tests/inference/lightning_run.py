"""Maps scenes with Lightning; a script, because processes start it again."""

from __future__ import annotations

import sys

import torch
from lightning.pytorch import LightningModule, Trainer
from scene_process import Brightness
from torch import Tensor

from torchgeo_cloudseg.inference import (
    MapDataModule,
    MapOptions,
    PredictionWriter,
    SceneSpec,
    sliding_window,
)

SPEC = SceneSpec(('forest', 'water', 'town'), ((0, 100, 0), (0, 100, 200), (250, 0, 0)))


class Task(LightningModule):
    """A task as small as can be, that slides as the package's own do."""

    def __init__(
        self, window: int = 160, stride: int = 80, blend: str = 'average', logits: bool = True
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = Brightness(wobble=0.3)
        self.scene_spec = SPEC

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        logits = sliding_window(
            self.model,
            batch['image'],
            batch['image_sar'],
            window=self.hparams['window'],
            stride=self.hparams['stride'],
            blend=self.hparams['blend'],
        )
        if self.hparams['logits']:
            return {'logits': logits}
        return {'probabilities': logits.softmax(dim=1)}


def predict(
    optical: str,
    sar: str,
    output_dir: str,
    devices: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    num_workers: int = 0,
    products: tuple[str, ...] = ('probabilities',),
    **hparams: int | str | bool,
) -> Task:
    """Map all scenes of a folder."""
    options = MapOptions(80, blend='average', products=products) if products else None
    data = MapDataModule(
        optical,
        sar,
        output_dir,
        options=options,
        blocks_per_sample=2,
        num_workers=num_workers,
        resume=resume,
        overwrite=overwrite,
    )
    trainer = Trainer(
        accelerator='cpu',
        devices=devices,
        strategy='ddp' if devices > 1 else 'auto',
        callbacks=[PredictionWriter()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    task = Task(**hparams)
    trainer.predict(task, data, return_predictions=False)
    return task


if __name__ == '__main__':
    torch.set_num_threads(1)
    predict(*sys.argv[1:4], devices=int(sys.argv[4]))
