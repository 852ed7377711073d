"""Teacher and student trained by Lightning on miniature data."""

from __future__ import annotations

import inspect
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import save_untrained
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from torchgeo_cloudseg._compat import SemanticSegmentationTask
from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.trainers import CloudSegStudentTask, CloudSegTask, CloudSegTeacherTask

SMALL: dict[str, Any] = {'backbone': 'mit_b0', 'lr': 1e-3}
PARTS = ('segmentation', 'reconstruction', 'distillation')


class Gradients(Callback):
    """Names of the parameters that have a gradient after the first step."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        named = pl_module.named_parameters()
        self.names |= {name for name, parameter in named if parameter.grad is not None}


def batch(size: int = 64) -> dict[str, Tensor]:
    """A random batch under the sample contract."""
    generator = torch.Generator().manual_seed(0)
    images = {'image': 4, 'image_clear': 4, 'image_sar': 2}
    shape = (2, size, size)
    return {
        **{k: torch.rand(2, c, size, size, generator=generator) for k, c in images.items()},
        'mask_cloud': torch.randint(2, shape, generator=generator),
        'mask': torch.randint(6, shape, generator=generator),
    }


def test_tasks_are_torchgeos() -> None:
    assert issubclass(CloudSegTeacherTask, SemanticSegmentationTask)
    assert issubclass(CloudSegStudentTask, SemanticSegmentationTask)


@pytest.mark.slow
@pytest.mark.parametrize('task_class', [CloudSegTeacherTask, CloudSegStudentTask])
def test_losses_fall(task_class: type[CloudSegTask], miniature: Path, teacher_file: Path) -> None:
    torch.manual_seed(0)
    task = task_class(drop_path=0.0, **SMALL)
    if isinstance(task, CloudSegStudentTask):
        task.hparams['teacher'] = str(teacher_file)
        task.setup('fit')
    datamodule = M3MCRDataModule(root=miniature, batch_size=4, patch_size=80, length=4)
    datamodule.setup('fit')
    (patches,) = datamodule.train_dataloader()
    patches = datamodule.on_after_batch_transfer(patches, 0)
    history: list[dict[str, Tensor]] = []
    task.log_dict = lambda named, **_: history.append(named)  # type: ignore[method-assign]
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-3)
    task.train()
    for _ in range(12):
        optimizer.zero_grad()
        task.training_step(patches, 0).backward()
        optimizer.step()
    for name, value in history[-1].items():
        assert float(value) < 0.8 * float(history[0][name]), name


@pytest.mark.slow
def test_teacher_logs_what_it_learns(fit: Any) -> None:
    trainer, _ = fit(CloudSegTeacherTask(**SMALL))
    assert {'train_loss', 'train_segmentation_loss', 'val_loss', 'val_mIoU', 'val_cloudy_mIoU'} <= {
        *trainer.callback_metrics
    }


@pytest.mark.slow
def test_student_learns_from_three_losses(fit: Any, teacher_file: Path) -> None:
    gradients = Gradients()
    task = CloudSegStudentTask(teacher=str(teacher_file), **SMALL)
    trainer, losses = fit(task, callbacks=(gradients,))
    metrics = trainer.callback_metrics
    parts = [float(metrics[f'train_{part}_loss']) for part in PARTS]
    assert min(parts) > 0
    assert float(metrics['train_loss']) == pytest.approx(sum(parts), rel=1e-5)
    assert losses[-1] == pytest.approx(sum(parts), rel=1e-5)
    assert gradients.names == {name for name, _ in task.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize(
    'options',
    [
        {'reconstruction_weight': 0.0},
        {'distillation_weight': 0.0},
        {'spatial_gate': False},
        {'distill_clear_only': False},
        {'loss': 'focal'},
        {'loss': 'dice', 'class_weights': [1.0, 2.0, 1.0, 1.0, 3.0, 1.0]},
        {'label_smoothing': 0.1},
        {'reconstruction_weight': 2.0, 'distillation_weight': 0.5},
        {'modalities': 'optical'},
        {'modalities': 'sar', 'reconstruction_weight': 0.0},
        {'modalities': 'early'},
        {'activation_checkpointing': True},
        {'backbone': 'resnet18', 'distillation_weight': 0.0},
    ],
    ids=lambda options: '-'.join(options),
)
def test_every_variant_trains_all_of_itself(options: dict[str, Any], teacher_file: Path) -> None:
    task = CloudSegStudentTask(**SMALL | {'teacher': str(teacher_file)} | options)
    task.setup('fit')
    values: dict[str, Tensor] = {}
    task.log_dict = lambda named, **_: values.update(named)  # type: ignore[method-assign]
    task.train()
    task.training_step(batch(), 0).backward()
    missing = [name for name, p in task.named_parameters() if p.grad is None]
    assert not missing
    weights = {part: options.get(f'{part}_weight', 1.0) for part in PARTS}
    named = {part for part, weight in weights.items() if weight}
    assert {f'train_{part}_loss' for part in named} | {'train_loss'} == set(values)
    total = sum(weights[part] * float(values[f'train_{part}_loss']) for part in named)
    assert float(values['train_loss']) == pytest.approx(total, rel=1e-5)


@pytest.mark.slow
def test_teacher_stays_frozen_and_in_evaluation_mode(fit: Any, teacher_file: Path) -> None:
    class Watch(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            (teacher,) = pl_module._teacher
            assert not any(module.training for module in teacher.modules())
            assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
            assert pl_module.model.training

    task = CloudSegStudentTask(teacher=str(teacher_file), **SMALL)
    expected = torch.load(teacher_file, weights_only=True)['state_dict']
    fit(task, callbacks=(Watch(),))
    (teacher,) = task._teacher
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, expected[f'model.{name}']), name


@pytest.mark.slow
def test_student_needs_no_teacher_once_trained(
    fit: Any, teacher_file: Path, tmp_path: Path
) -> None:
    moved = shutil.copy(teacher_file, tmp_path / 'gone.ckpt')
    task = CloudSegStudentTask(teacher=str(moved), **SMALL)
    fit(task)
    Path(moved).unlink()
    last = tmp_path / 'checkpoints/last.ckpt'
    names = set(torch.load(last, weights_only=True)['state_dict'])
    assert {name for name in names if name.startswith('model.')} == {
        f'model.{name}' for name in task.model.state_dict()
    }
    assert not [name for name in names if 'teacher' in name]
    loaded = CloudSegStudentTask.load_from_checkpoint(last)
    assert all(
        torch.equal(a, b)
        for a, b in zip(loaded.model.parameters(), task.model.parameters(), strict=True)
    )


@pytest.mark.slow
def test_unsuitable_teachers_are_refused(teacher_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'encoder: teacher mit_b0, student mit_b1'):
        CloudSegStudentTask(teacher=str(teacher_file), backbone='mit_b1').setup('fit')
    with pytest.raises(ValueError, match=r'in_channels: teacher \(4, 2\), student \(4, 1\)'):
        CloudSegStudentTask(teacher=str(teacher_file), in_channels=(4, 1), **SMALL).setup('fit')
    with pytest.raises(FileNotFoundError, match='no such file of weights'):
        CloudSegStudentTask(teacher=str(tmp_path / 'none.ckpt'), **SMALL).setup('fit')

    student = save_untrained(CloudSegStudentTask(**SMALL), tmp_path / 'student.ckpt')
    with pytest.raises(ValueError, match='found a student'):
        CloudSegStudentTask(teacher=str(student), **SMALL).setup('fit')

    pickled = tmp_path / 'pickled.ckpt'
    torch.save({'state_dict': Path('code')}, pickled)
    with pytest.raises(ValueError, match='pickle that holds more than tensors'):
        CloudSegStudentTask(teacher=str(pickled), **SMALL).setup('fit')

    text = tmp_path / 'text.ckpt'
    text.write_text('hello world')
    with pytest.raises(ValueError, match=r'text\.ckpt: found a file that cannot be read'):
        CloudSegStudentTask(teacher=str(text), **SMALL).setup('fit')

    released = tmp_path / 'TeacherNet.pth'
    torch.save({'network': {}}, released)
    with pytest.raises(ValueError, match='cloudseg convert'):
        CloudSegStudentTask(teacher=str(released), **SMALL).setup('fit')


@pytest.mark.slow
def test_student_may_start_from_the_teacher(teacher_file: Path) -> None:
    task = CloudSegStudentTask(teacher=str(teacher_file), init_from_teacher=True, **SMALL)
    expected = torch.load(teacher_file, weights_only=True)['state_dict']
    assert not all(torch.equal(task.state_dict()[name], expected[name]) for name in expected)
    task.setup('fit')
    for name, value in expected.items():
        assert torch.equal(task.state_dict()[name], value), name


def test_missing_images_are_named() -> None:
    task = CloudSegStudentTask(**SMALL)
    incomplete = batch()
    del incomplete['image_clear']
    with pytest.raises(KeyError, match=r"needs \['image_clear'\].*modalities="):
        task.training_step(incomplete, 0)
    with pytest.raises(KeyError, match=r"needs \['image_clear'\]"):
        CloudSegTeacherTask(**SMALL).training_step(incomplete, 0)


def test_batch_without_labels_changes_nothing_to_nan() -> None:
    task = CloudSegTeacherTask(**SMALL)
    task.log_dict = lambda *_, **__: None  # type: ignore[method-assign]
    empty = batch() | {'mask': torch.full((2, 64, 64), 255)}
    loss = task.training_step(empty, 0)
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in task.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(
    ('stopped_after', 'num_workers'),
    [(4, 2), (6, 0), (6, 2)],
    ids=['between epochs', 'within an epoch', 'within an epoch, with workers'],
)
def test_resumed_training_has_the_same_losses(
    fit: Any, teacher_file: Path, tmp_path: Path, stopped_after: int, num_workers: int
) -> None:
    class Interrupt(Callback):
        """Ctrl-C in a step."""

        def on_before_backward(self, trainer: Trainer, *_: Any) -> None:
            if trainer.global_step == stopped_after:
                raise KeyboardInterrupt

    def student() -> CloudSegStudentTask:
        torch.manual_seed(7)
        return CloudSegStudentTask(teacher=str(teacher_file), schedule='cosine', **SMALL)

    run = partial(fit, data={'augment': True, 'num_workers': num_workers}, max_epochs=2)
    _, whole = run(student())
    shutil.rmtree(tmp_path / 'checkpoints')
    with pytest.raises(SystemExit):
        run(student(), callbacks=(Interrupt(),))
    last = tmp_path / 'checkpoints/last.ckpt'
    _, rest = run(student(), ckpt_path=last, seed=0)
    assert len(whole) == 8
    assert rest == pytest.approx(whole[stopped_after:], rel=1e-5)


@pytest.mark.slow
def test_same_seed_same_numbers(fit: Any) -> None:
    runs = []
    for seed in (5, 5, 6):
        torch.manual_seed(2)
        runs.append(fit(CloudSegStudentTask(**SMALL), seed=seed, data={'augment': True})[1])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.slow
def test_gradients_add_up_over_batches(fit: Any) -> None:
    trainer, losses = fit(CloudSegTeacherTask(**SMALL), accumulate_grad_batches=2)
    assert (trainer.global_step, len(losses)) == (2, 4)


@pytest.mark.slow
def test_bfloat16(fit: Any, teacher_file: Path) -> None:
    task = CloudSegStudentTask(teacher=str(teacher_file), **SMALL)
    _, losses = fit(task, precision='bf16-mixed', limit_train_batches=2)
    _, exact = fit(CloudSegStudentTask(teacher=str(teacher_file), **SMALL), limit_train_batches=2)
    assert losses[0] == pytest.approx(exact[0], rel=0.5)
    assert all(torch.tensor(losses).isfinite())


@pytest.mark.slow
def test_whole_step_compiles_to_one_graph(
    fit: Any, teacher_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the compiler proper takes a minute; what it is given is the point here
    monkeypatch.setattr(torch, 'compile', partial(torch.compile, backend='eager'))
    options = {**SMALL, 'teacher': str(teacher_file), 'drop_path': 0.0}
    torch.manual_seed(0)
    _, compiled = fit(CloudSegStudentTask(**options, compile=True), limit_train_batches=2)
    _, eager = fit(CloudSegStudentTask(**options), limit_train_batches=2)
    torch._dynamo.reset()
    assert len(compiled) == len(eager) == 2


@pytest.mark.slow
def test_averaged_weights(fit: Any, teacher_file: Path, tmp_path: Path) -> None:
    task = CloudSegStudentTask(teacher=str(teacher_file), **SMALL)
    fit(task, callbacks=(EMAWeightAveraging(decay=0.5),))
    last = torch.load(tmp_path / 'checkpoints/last.ckpt', weights_only=True)
    trained, averaged = last['current_model_state'], last['state_dict']
    name = next(n for n in averaged if n.endswith('weight'))
    assert not torch.equal(trained[name], averaged[name])
    loaded = CloudSegStudentTask.load_from_checkpoint(tmp_path / 'checkpoints/last.ckpt')
    assert torch.equal(loaded.state_dict()[name], averaged[name])


@pytest.mark.slow
def test_figures_and_losses_reach_tensorboard(fit: Any, teacher_file: Path, tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path / 'log')
    task = CloudSegStudentTask(teacher=str(teacher_file), **SMALL)
    fit(task, logger=logger, log_every_n_steps=1)
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    tags = events.Tags()
    assert [tag for tag in tags['images'] if tag.startswith('image/')]
    assert {*(f'train_{part}_loss' for part in PARTS), 'val_mIoU', 'val_loss'} <= {*tags['scalars']}


@pytest.mark.slow
@pytest.mark.parametrize('size', [(90, 75), (95, 64), (60, 61)])
def test_scenes_whose_sides_do_not_scale(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    task = CloudSegTeacherTask(**SMALL, window=60, stride=30).eval()
    height, width = size
    images = {'image_clear': torch.rand(1, 4, height, width)}
    images['image_sar'] = torch.rand(1, 2, height, width)
    on_labels = (int(height * 0.3 + 0.5), int(width * 0.3 + 0.5))
    for output in (on_labels, size):
        logits = task.slide(images, output)
        assert logits.shape == (1, 6, *output)
        assert logits.isfinite().all()
    probabilities = task.predict_step(images, 0)['probabilities']
    assert probabilities is not None
    torch.testing.assert_close(probabilities, task.slide(images, on_labels).softmax(dim=1))


def test_monitor() -> None:
    assert (CloudSegTask.monitor, CloudSegTask.mode) == ('val_mIoU', 'max')


@pytest.mark.parametrize('task_class', [CloudSegTeacherTask, CloudSegStudentTask])
def test_all_arguments_are_hyperparameters(task_class: type[CloudSegTask]) -> None:
    """Those of the base class, too, with the values that they have; private ones are none."""
    task = task_class(backbone='mit_b0', stride=20, _class_path='of.a.Checkpoint')
    common = {*inspect.signature(CloudSegTask.__init__).parameters} - {'self', *task.ignore}
    assert common <= {*task.hparams}
    assert not {'kwargs', *task.ignore} & {*task.hparams}
    assert (task.hparams['stride'], task.hparams['window']) == (20, 160)
    with pytest.raises(TypeError, match='misspelt'):
        task_class(misspelt=1)


@pytest.mark.slow
def test_data_of_other_bands_state_no_facts(fit: Any, tmp_path: Path) -> None:
    task = CloudSegTeacherTask(num_classes=11, **SMALL)
    with pytest.warns(UserWarning, match=r'classes .*6.*the network has .*11'):
        fit(task, limit_train_batches=1, limit_val_batches=0)
    assert task.scene_spec is None
    assert 'scene_spec' not in torch.load(tmp_path / 'checkpoints/last.ckpt', weights_only=True)
