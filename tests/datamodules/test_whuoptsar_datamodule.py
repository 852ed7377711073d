"""WHU-OPT-SAR's data module: clouds drawn on the device, tiles, and the tasks on top."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from torchgeo_cloudseg.datamodules import WHUOPTSARDataModule
from torchgeo_cloudseg.miniature import write_miniature_whuoptsar
from torchgeo_cloudseg.trainers import CloudSegStudentTask, CloudSegTeacherTask

LINE = {'backbone': 'mit_b0', 'in_channels': (4, 1), 'num_classes': 7, 'label_scale': 1.0}
QUIET: dict[str, Any] = {
    'accelerator': 'cpu',
    'logger': False,
    'enable_progress_bar': False,
    'enable_model_summary': False,
    'num_sanity_val_steps': 0,
}


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('whu')
    return write_miniature_whuoptsar(folder, height_px=128, width_px=192, progress=False)


def batches(root: Path, split: str, **kwargs: Any) -> list[dict[str, Any]]:
    options = {'batch_size': 2, 'patch_size': 64, 'length': 4, 'test_size': 100} | kwargs
    datamodule = WHUOPTSARDataModule(root=root, **options)
    datamodule.setup('test' if split == 'test' else 'fit')
    loader = getattr(datamodule, f'{split}_dataloader')()
    datamodule._current_split = lambda: split  # type: ignore[method-assign]
    return [datamodule.on_after_batch_transfer(batch, 0) for batch in loader]


def test_batches_follow_the_sample_contract(root: Path) -> None:
    for split, size in (('train', 64), ('val', 64)):
        for batch in batches(root, split):
            assert batch['image'].shape == batch['image_clear'].shape == (2, 4, size, size)
            assert batch['image_sar'].shape == (2, 1, size, size)
            assert batch['mask'].shape == batch['mask_cloud'].shape == (2, size, size)
            for key in ('image', 'image_clear', 'image_sar'):
                assert batch[key].dtype == torch.float32
                assert 0 <= batch[key].min() < batch[key].max() <= 1
            assert batch['mask_cloud'].dtype == torch.int64
            assert set(batch['mask'].unique().tolist()) <= {*range(7), 255}
            assert not torch.equal(batch['image'], batch['image_clear'])


def test_every_training_patch_has_new_clouds(root: Path) -> None:
    torch.manual_seed(0)
    first, second = (batches(root, 'train') for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one['image_clear'], other['image_clear'])
    seen = [batch['mask_cloud'] for batch in first]
    assert not torch.equal(seen[0][0], seen[0][1])
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.slow
@pytest.mark.parametrize('split', ['val', 'test'])
def test_evaluation_has_the_same_clouds_every_time(root: Path, split: str) -> None:
    def by_place(**kwargs: Any) -> dict[tuple[float, ...], torch.Tensor]:
        return {
            tuple(place[:6].tolist()): image
            for batch in batches(root, split, **kwargs)
            for place, image in zip(batch['bounds'], batch['image'], strict=True)
        }

    expected = by_place()
    for other in (by_place(batch_size=1), by_place(num_workers=2)):
        assert expected.keys() == other.keys()
        assert all(torch.equal(expected[place], other[place]) for place in expected)
    changed = by_place(seed=1)
    assert not all(torch.equal(expected[place], changed[place]) for place in expected)


def test_tiles_of_the_test_count_every_pixel_once(root: Path) -> None:
    tiles = batches(root, 'test')
    assert sum(tile['mask'].numel() for tile in tiles) == 3 * 128 * 192
    assert {len(tile['mask']) for tile in tiles} == {1}


def test_clouds_are_an_argument(root: Path) -> None:
    half = batches(root, 'train', clouds={'preset': 'thick', 'cover': 0.5})
    for batch in half:
        cover = batch['mask_cloud'].float().mean(dim=(1, 2))
        assert cover.tolist() == pytest.approx([0.5, 0.5], abs=0.01)
    (clear, *_) = batches(root, 'train', clouds=None)
    assert clear['image'] is clear['image_clear']
    assert 'mask_cloud' not in clear
    with pytest.raises(ValueError, match='no-such-sky'):
        WHUOPTSARDataModule(root=root, clouds='no-such-sky')


@pytest.mark.slow
def test_teacher_and_student_run_unchanged(root: Path, tmp_path: Path) -> None:
    data = WHUOPTSARDataModule(root=root, batch_size=2, patch_size=64, length=4, augment=True)
    keep = ModelCheckpoint(tmp_path, filename='teacher')
    trainer = Trainer(max_epochs=1, callbacks=[keep], **QUIET)
    trainer.fit(CloudSegTeacherTask(**LINE), data)
    student = CloudSegStudentTask(str(tmp_path / 'teacher.ckpt'), window=64, stride=64, **LINE)
    trainer = Trainer(max_epochs=1, enable_checkpointing=False, **QUIET)
    trainer.fit(student, data)
    assert 'train_distillation_loss' in trainer.callback_metrics
    (scores,) = trainer.test(student, data, verbose=False)
    assert 0 <= scores['test_cloudy_mIoU'] <= 1
    assert 'test_cloudy_PSNR' in scores
