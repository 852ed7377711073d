"""The package's data with TorchGeo's own task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from torchgeo_cloudseg._compat import SemanticSegmentationTask
from torchgeo_cloudseg.datamodules import M3MCRDataModule


@pytest.mark.slow
@pytest.mark.parametrize(
    ('in_channels', 'data'),
    [
        (4, {'modalities': ('image', 'mask')}),
        (6, {'modalities': ('image', 'image_sar', 'mask'), 'stack': True}),
    ],
    ids=['optical', 'optical and SAR'],
)
def test_torchgeos_task_trains_on_our_data(
    in_channels: int, data: dict[str, Any], miniature: Path
) -> None:
    task = SemanticSegmentationTask(
        model='unet', backbone='resnet18', in_channels=in_channels, num_classes=6, ignore_index=255
    )
    datamodule = M3MCRDataModule(
        root=miniature, batch_size=2, patch_size=160, length=4, label_res='optical', **data
    )
    trainer = Trainer(
        max_epochs=1,
        accelerator='cpu',
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, datamodule)
    assert torch.isfinite(trainer.callback_metrics['train_loss'])
    assert 'val_loss' in trainer.callback_metrics
