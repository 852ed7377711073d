"""What users of Lightning's trainer expect of any task and data module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.tuner import Tuner

from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.trainers import CloudSegStudentTask, CloudSegTeacherTask


class Places(Callback):
    """Corner of the first patch of every training batch, by epoch."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, list[float]]] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, *_: Any
    ) -> None:
        self.seen.append((trainer.current_epoch, batch['bounds'][0, [0, 3]].tolist()))

    def of_epoch(self, epoch: int) -> list[list[float]]:
        return [place for number, place in self.seen if number == epoch]


def task(**options: Any) -> CloudSegTeacherTask:
    torch.manual_seed(7)
    small = {'backbone': 'mit_b0', 'modalities': 'early'}
    return CloudSegTeacherTask(**small, lr=1e-3, image_key='image', **options)


def trainer(tmp_path: Path, **options: Any) -> Trainer:
    return Trainer(
        **{
            'accelerator': 'cpu',
            'logger': False,
            'max_epochs': 1,
            'enable_progress_bar': False,
            'enable_model_summary': False,
            'default_root_dir': tmp_path,
        }
        | options
    )


@pytest.fixture
def data(miniature: Path) -> M3MCRDataModule:
    """Two steps an epoch, on small patches."""
    return M3MCRDataModule(root=miniature, batch_size=2, patch_size=40, length=4, seed=3)


@pytest.mark.slow
def test_sanity_checks_leave_no_trace(tmp_path: Path, data: M3MCRDataModule) -> None:
    def run(checks: int) -> dict[str, float]:
        fitted = trainer(tmp_path, num_sanity_val_steps=checks, enable_checkpointing=False)
        fitted.fit(task(), data)
        return {name: float(value) for name, value in fitted.callback_metrics.items()}

    assert run(1) == pytest.approx(run(0))


@pytest.mark.slow
def test_overfit_batches_sees_the_same_patches(tmp_path: Path, data: M3MCRDataModule) -> None:
    places = Places()
    options = {'overfit_batches': 1, 'max_epochs': 3, 'callbacks': [places]}
    trainer(tmp_path, enable_checkpointing=False, **options).fit(task(), data)
    assert len(places.seen) == 3
    assert len({tuple(place) for _, place in places.seen}) == 1


@pytest.mark.slow
def test_reloaded_loaders_and_frequent_validation(tmp_path: Path, data: M3MCRDataModule) -> None:
    usual, reloaded = Places(), Places()
    common = {'max_epochs': 3, 'enable_checkpointing': False}
    trainer(tmp_path, callbacks=[usual], **common).fit(task(), data)
    options = {'reload_dataloaders_every_n_epochs': 1, 'val_check_interval': 1}
    trainer(tmp_path, callbacks=[reloaded], **common, **options).fit(task(), data)
    assert usual.seen == reloaded.seen
    assert usual.of_epoch(0) != usual.of_epoch(1)


@pytest.mark.slow
@pytest.mark.parametrize('limits', [{'limit_train_batches': 1}, {'limit_train_batches': 1.0}])
def test_resumed_at_a_validation_end(
    tmp_path: Path, data: M3MCRDataModule, limits: dict[str, Any]
) -> None:
    whole, rest = Places(), Places()
    saved = ModelCheckpoint(tmp_path, save_top_k=-1, save_on_train_epoch_end=False)
    trainer(tmp_path, max_epochs=2, callbacks=[whole, saved], **limits).fit(task(), data)
    first = next(tmp_path.glob('epoch=0*.ckpt'))
    again = trainer(tmp_path, max_epochs=2, callbacks=[rest], **limits)
    again.fit(task(), data, ckpt_path=first)
    assert rest.seen == [seen for seen in whole.seen if seen[0] == 1]


@pytest.mark.slow
def test_finders(tmp_path: Path, data: M3MCRDataModule) -> None:
    found = trainer(tmp_path, enable_checkpointing=False, max_epochs=3)
    model = task(schedule='cosine')
    rates = Tuner(found).lr_find(model, data, num_training=4, min_lr=1e-6, max_lr=1e-3)
    assert rates is not None
    assert len(rates.results['lr']) >= 3
    size = Tuner(trainer(tmp_path)).scale_batch_size(
        task(), datamodule=data, max_trials=1, steps_per_trial=1, init_val=2
    )
    assert size == data.batch_size >= 2


@pytest.mark.slow
def test_fit_twice_in_one_process(
    tmp_path: Path, data: M3MCRDataModule, teacher_file: Path
) -> None:
    student = CloudSegStudentTask(str(teacher_file), backbone='mit_b0')
    first = trainer(tmp_path)
    first.fit(student, data)
    first.fit_loop.max_epochs = 2
    first.fit(student, data)
    second = trainer(tmp_path / 'second')
    second.fit(student, data)
    assert (first.current_epoch, second.current_epoch) == (2, 1)


@pytest.mark.slow
def test_an_interrupted_test_does_not_count(tmp_path: Path, data: M3MCRDataModule) -> None:
    class Stop(Callback):
        def on_test_batch_end(self, *_: Any) -> None:
            raise RuntimeError('stopped')

    model = task()
    expected = trainer(tmp_path).test(model, data, verbose=False)
    with pytest.raises(RuntimeError, match='stopped'):
        trainer(tmp_path, callbacks=[Stop()]).test(model, data)
    assert trainer(tmp_path).test(model, data, verbose=False) == expected
    pixels = sum(int(counts.sum()) for counts in [model.test_confusion['all']])
    assert pixels == sum(scene.pixels for scene in model.test_scenes)


@pytest.mark.slow
def test_clipping_with_half_precision_on_a_cpu(tmp_path: Path, data: M3MCRDataModule) -> None:
    options = {'precision': '16-mixed', 'gradient_clip_val': 1.0, 'enable_checkpointing': False}
    fitted = trainer(tmp_path, **options)
    fitted.fit(task(), data)
    assert torch.isfinite(fitted.callback_metrics['train_loss'])
