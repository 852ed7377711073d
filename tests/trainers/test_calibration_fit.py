"""What a calibration is fitted to, and for how long it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import save_untrained
from lightning.pytorch import Trainer

from torchgeo_cloudseg.models import Calibration
from torchgeo_cloudseg.trainers import CalibrationFit, CloudSegStudentTask

KNOWN = Calibration((2.0, 1.5), (0.3, 0.2), 0.8, (0.25,))


def test_pixels_are_drawn_from_all_scenes_alike() -> None:
    task = CloudSegStudentTask(architecture='lite', num_classes=2, reconstruction_weight=0)
    trainer = Trainer(accelerator='cpu', logger=False, enable_checkpointing=False)
    fit = CalibrationFit(edges=(0.5,), pixels=4000)
    fit.on_test_start(trainer, task)
    for number, rows in enumerate((100, 300, 200)):
        mask = torch.full((1, rows, 100), number % 2)
        mask[:, :, 50:] = 255
        logits = torch.full((1, 2, rows, 100), float(number))
        outputs = {'logits': logits, 'opacity': logits[:, :1] / 4}
        fit.on_test_batch_end(trainer, task, outputs, {'mask': mask}, number)
        assert len(fit.kept) <= 4000
    fit.on_test_end(trainer, task)
    numbers = fit.logits[:, 0].long()
    assert torch.equal(fit.labels, numbers % 2)
    assert fit.opacity is not None
    assert torch.equal(fit.opacity, numbers / 4)
    # four times the width of a binomial distribution
    for number, share in enumerate((1 / 6, 1 / 2, 1 / 3)):
        drawn = float((numbers == number).float().mean())
        assert abs(drawn - share) < 4 * (share * (1 - share) / 4000) ** 0.5


@pytest.mark.slow
def test_holds_until_the_weights_change(fit: Any, tmp_path: Path) -> None:
    task = CloudSegStudentTask(architecture='lite', reconstruction_weight=0)
    task.model.calibration = KNOWN
    path = save_untrained(task, tmp_path / 'calibrated.ckpt')
    read = CloudSegStudentTask.load_from_checkpoint(path)
    assert read.model.calibration == KNOWN
    fit(read)
    assert read.model.calibration == Calibration()
    (last,) = (tmp_path / 'checkpoints').glob('last.ckpt')
    assert 'calibration' not in torch.load(last, weights_only=True)
