"""The light network with the tasks, the files and the maps of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch

from torchgeo_cloudseg.inference.export import export_network
from torchgeo_cloudseg.losses import opacity_loss
from torchgeo_cloudseg.models import CloudSegLite
from torchgeo_cloudseg.trainers import CloudSegStudentTask, CloudSegTeacherTask, load_mapper

LITE: dict[str, Any] = {'architecture': 'lite', 'lr': 1e-3}


@pytest.mark.slow
def test_teacher_student_checkpoint_and_file(fit: Any, tmp_path: Path) -> None:
    trainer, _ = fit(CloudSegTeacherTask(**LITE))
    teacher = tmp_path / 'teacher.ckpt'
    trainer.save_checkpoint(teacher)
    task = CloudSegStudentTask(
        str(teacher), init_from_teacher=True, modality_dropout=(0.5, 0.2), **LITE
    )
    trainer, _ = fit(task)
    losses = ('segmentation', 'opacity', 'reconstruction', 'distillation')
    assert all(float(trainer.callback_metrics[f'train_{name}_loss']) > 0 for name in losses)
    student = tmp_path / 'student.ckpt'
    trainer.save_checkpoint(student)
    network, spec = load_mapper(student)
    assert isinstance(network, CloudSegLite)
    assert network.config == task.model.config
    file = tmp_path / 'student.onnx'
    export_network(network, spec, file)  # refuses a file that differs
    assert len(onnxruntime.InferenceSession(file).get_inputs()) == 2


@pytest.mark.slow
def test_teachers_of_another_architecture_are_refused(teacher_file: Path) -> None:
    task = CloudSegStudentTask(str(teacher_file), **LITE, backbone='mit_b0')
    with pytest.raises(ValueError, match='architecture: teacher cloudseg, student lite'):
        task.setup('fit')


def test_opacity_loss_is_least_at_the_expected_opacity() -> None:
    truth = torch.tensor([0.0, 1.0, 1.0, 1.0])[None, None, :, None].expand(1, 1, 4, 8)
    guesses = torch.linspace(0.05, 0.95, 19)
    losses = [opacity_loss(torch.full_like(truth, float(x)), truth) for x in guesses]
    assert float(guesses[torch.stack(losses).argmin()]) == pytest.approx(0.75)
    assert opacity_loss(truth.half(), truth).isfinite()
    with pytest.raises(ValueError, match='one shape'):
        opacity_loss(truth[..., :4], truth)
