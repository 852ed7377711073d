"""Checkpoints as files: whole or absent, where they are wanted, and never beside an older one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from torchgeo_cloudseg.trainers import CloudSegTeacherTask
from torchgeo_cloudseg.trainers.checkpoint_io import SafeCheckpointIO

#: Writes the same checkpoint of 64 MB again and again.
WRITER = """
import sys, torch
from torchgeo_cloudseg.trainers.checkpoint_io import SafeCheckpointIO
content = {'state_dict': {'x': torch.zeros(2**24)}}
while True:
    SafeCheckpointIO().save_checkpoint(content, sys.argv[1])
    print('written', flush=True)
"""

SMALL: dict[str, Any] = {'data': {'patch_size': 40, 'length': 2}, 'limit_val_batches': 1}


def task() -> CloudSegTeacherTask:
    return CloudSegTeacherTask(backbone='mit_b0', modalities='early', image_key='image')


@pytest.mark.slow
def test_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / 'there' / 'a.ckpt'
    command = [sys.executable, '-c', WRITER, str(path)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ))
    assert writer.stdout is not None
    for delay in (0.02, 0.05, 0.11):
        writer.stdout.readline()
        time.sleep(delay)
        content = torch.load(path, weights_only=True)
        assert len(content['state_dict']['x']) == 2**24
    writer.kill()
    writer.wait()
    assert len(torch.load(path, weights_only=True)['state_dict']['x']) == 2**24


def test_it_is_written_beside_its_target(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    class Spy:
        def __reduce__(self) -> tuple[Any, ...]:
            seen.append(sorted(path.name for path in tmp_path.iterdir()))
            return (dict, ())

    SafeCheckpointIO().save_checkpoint({'spy': Spy()}, tmp_path / 'a.ckpt')
    ((draft,),) = seen
    assert draft != 'a.ckpt'
    assert [path.name for path in tmp_path.iterdir()] == ['a.ckpt']


def test_lightning_writes_so(fit: Any, tmp_path: Path) -> None:
    trainer, _ = fit(task(), **SMALL)
    assert type(trainer.strategy.checkpoint_io) is SafeCheckpointIO


def test_folder_that_cannot_be_written_to_is_an_error_at_the_start(
    fit: Any, tmp_path: Path
) -> None:
    (tmp_path / 'file').touch()
    best = ModelCheckpoint(tmp_path / 'file' / 'run', monitor='val_mIoU', filename='best')
    trained = []
    model = task()
    model.on_train_batch_end = lambda *_: trained.append(1)  # type: ignore[method-assign]  # to see that none is
    with pytest.raises(OSError, match=r'file/run: checkpoints cannot be written there'):
        fit(model, callbacks=(best,), **SMALL)
    assert not trained


@pytest.mark.slow
def test_a_second_run_has_a_folder_of_its_own(fit: Any, tmp_path: Path) -> None:
    def best(folder: str) -> ModelCheckpoint:
        return ModelCheckpoint(
            tmp_path / folder, monitor='val_mIoU', mode='max', filename='teacher'
        )

    fit(task(), callbacks=(best('first'),), **SMALL)
    first = (tmp_path / 'first/teacher.ckpt').stat().st_mtime_ns
    with pytest.raises(FileExistsError, match=r'first/teacher\.ckpt: is there from an earlier'):
        fit(task(), callbacks=(best('first'),), **SMALL)
    # a quick try writes none
    fit(task(), callbacks=(best('first'),), fast_dev_run=True, **SMALL)
    assert [path.name for path in (tmp_path / 'first').iterdir()] == ['teacher.ckpt']
    assert (tmp_path / 'first/teacher.ckpt').stat().st_mtime_ns == first
    fit(task(), callbacks=(best('second'),), **SMALL)
    # a run that goes on is the same run
    begun = tmp_path / 'second/teacher.ckpt'
    trainer, _ = fit(task(), callbacks=(best('second'),), ckpt_path=begun, max_epochs=2, **SMALL)
    assert trainer.global_step == 2
    assert [path.name for path in (tmp_path / 'second').iterdir()] == ['teacher.ckpt']


@pytest.mark.slow
@pytest.mark.parametrize('order', [1, -1])
def test_a_run_that_goes_on_writes_no_second_best(fit: Any, tmp_path: Path, order: int) -> None:
    # another mode than that of the fixture's, by which Lightning tells them apart
    last: dict[str, Any] = {'filename': 'last', 'mode': 'max', 'enable_version_counter': False}

    def callbacks(score: str = 'val_mIoU') -> list[ModelCheckpoint]:
        best = ModelCheckpoint(tmp_path, monitor=score, mode='max', filename='best')
        return [best, ModelCheckpoint(tmp_path, **last)][::order]

    fit(task(), callbacks=callbacks(), **SMALL)
    begun = {'ckpt_path': tmp_path / 'last.ckpt', 'max_epochs': 3}
    # of another score nothing is known
    with pytest.raises(FileExistsError, match=r'best\.ckpt: is there from an earlier'):
        fit(task(), callbacks=callbacks('val_all_OA'), **begun, **SMALL)
    trainer, _ = fit(task(), callbacks=callbacks(), **begun, **SMALL)
    assert trainer.global_step == 3
    assert {path.name for path in tmp_path.glob('*.ckpt')} == {'best.ckpt', 'last.ckpt'}
