"""A training that may be stopped from outside; a script, as a job of SLURM starts it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.trainers import CloudSegTeacherTask, InterruptAfterStep


class Run(Callback):
    """Notes every loss; sends this process a signal, or ends it, in the middle of a step."""

    def __init__(self, output: Path, step: int, what: str) -> None:
        self.output = output
        self.step = step
        self.what = what

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        def strike(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            if trainer.global_step + 1 == self.step:
                if self.what == 'die' and trainer.global_rank == 1:
                    self.output.with_name('died').write_text(str(time.time()))
                    os._exit(3)
                if self.what.startswith('SIG'):
                    os.kill(os.getpid(), getattr(signal, self.what))

        trainer.optimizers[0].register_step_post_hook(strike)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any
    ) -> None:
        if trainer.is_global_zero:
            with self.output.open('a') as lines:
                lines.write(json.dumps([trainer.global_step, float(outputs['loss'])]) + '\n')


if __name__ == '__main__':
    root, folder, devices, step, what = sys.argv[1:6]
    torch.set_num_threads(1)
    seed_everything(0, verbose=False)
    data = M3MCRDataModule(root=root, batch_size=1, patch_size=40, length=6)
    last = {'filename': 'last', 'enable_version_counter': False, 'save_on_exception': True}
    trainer = Trainer(
        accelerator='cpu',
        devices=int(devices),
        strategy='ddp' if int(devices) > 1 else 'auto',
        max_epochs=1,
        default_root_dir=folder,
        callbacks=[
            ModelCheckpoint(folder, **last),  # type: ignore[arg-type]  # values of a dict are of any type
            InterruptAfterStep(),
            Run(Path(folder) / 'losses.jsonl', int(step), what),
        ],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    resumed = sys.argv[6] if len(sys.argv) > 6 else None
    trainer.fit(CloudSegTeacherTask(backbone='mit_b0', image_key='image'), data, ckpt_path=resumed)
    trainer.test(trainer.lightning_module, data, verbose=False)
    if trainer.is_global_zero:
        scenes = trainer.lightning_module.test_scenes
        counts = [[scene.scene, scene.pixels] for scene in scenes]
        (Path(folder) / 'scenes.json').write_text(json.dumps(counts))
