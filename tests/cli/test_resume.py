"""A training that goes on, as typed in this package's command and in TorchGeo's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchgeo.main

from torchgeo_cloudseg.cli import main
from torchgeo_cloudseg.cli.configs import FOLDER
from torchgeo_cloudseg.trainers import CloudSegStudentTask
from torchgeo_cloudseg.trainers.arguments import task_arguments

CONFIG = FOLDER / 'm3mcr/student.yaml'
MAINS: dict[str, Callable[[list[str]], None]] = {'cloudseg': main, 'torchgeo': torchgeo.main.main}


def student(root: Path, *more: str) -> list[str]:
    """A student of few steps, by the shipped configuration."""
    return [
        'fit', f'--config={CONFIG}', '--model.init_args.backbone=mit_b0',
        '--model.init_args.weights=false', f'--data.init_args.root={root}',
        '--data.init_args.batch_size=2', '--data.init_args.patch_size=40',
        '--data.init_args.length=4', '--data.init_args.num_workers=0',
        '--trainer.accelerator=cpu', '--trainer.limit_train_batches=1',
        '--trainer.limit_val_batches=1', '--trainer.num_sanity_val_steps=0', *more,
    ]  # fmt: skip


def last(folder: Path) -> dict[str, Any]:
    (path,) = folder.rglob('last.ckpt')
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


@pytest.fixture(scope='module')
def trained(miniature: Path, teacher_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a student after an epoch, whose teacher is no longer where it was."""
    folder = tmp_path_factory.mktemp('student')
    moved = shutil.copy(teacher_file, folder / 'teacher.ckpt')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        given = f'--model.init_args.teacher={moved}', '--model.init_args.window=80'
        main(student(miniature, *given, '--trainer.max_epochs=1'))
    Path(moved).unlink()
    (path,) = folder.rglob('last.ckpt')
    return path


@pytest.mark.slow
@pytest.mark.parametrize('program', MAINS)
def test_arguments_win(
    program: str, trained: Path, miniature: Path, teacher_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    given = {
        'teacher': str(teacher_file), 'lr': 3e-6, 'window': 96, 'image_key': 'image_clear',
        'schedule': 'constant', 'reconstruction_weight': 0.5,
    }  # fmt: skip
    typed = [f'--model.init_args.{name}={value}' for name, value in given.items()]
    MAINS[program](student(miniature, *typed, f'--ckpt_path={trained}', '--trainer.max_epochs=2'))
    content = last(tmp_path)
    assert {name: task_arguments(content)[name] for name in given} == given
    assert content['optimizer_states'][0]['param_groups'][0]['lr'] == given['lr']
    assert content['global_step'] == 2


@pytest.mark.slow
def test_what_is_not_given_comes_from_the_checkpoint(
    trained: Path, miniature: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: dict[str, Any] = {}
    monkeypatch.setattr(
        CloudSegStudentTask, 'on_validation_start', lambda task: seen.update(task.hparams)
    )
    data = ['--data=M3MCRDataModule', f'--data.root={miniature}', '--data.patch_size=40']
    main(['validate', '--model=CloudSegStudentTask', f'--ckpt_path={trained}', *data])
    assert (seen['backbone'], seen['window'], seen['labels'][3]) == ('mit_b0', 80, 'urban')


@pytest.mark.slow
@pytest.mark.parametrize('typed', ['--model.backbone=mit_b4', '--model.in_channels=[4, 1]'])
def test_network_is_not_contradicted(
    typed: str, teacher_file: Path, miniature: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([
            'test', '--model=CloudSegTeacherTask', f'--ckpt_path={teacher_file}', typed,
            '--data=M3MCRDataModule', f'--data.root={miniature}', '--trainer.logger=false',
        ])  # fmt: skip
    assert stopped.value.code == 1
    assert 'another network than the checkpoint holds' in capsys.readouterr().err


def test_class_in_a_checkpoint_is_not_imported(
    miniature: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / 'foreign_module.py').write_text('raise RuntimeError("imported")')
    monkeypatch.syspath_prepend(tmp_path)
    hparams = {'_class_path': 'foreign_module.Task', 'backbone': 'mit_b0', 'weights': True}
    torch.save({'state_dict': {}, 'hyper_parameters': hparams}, tmp_path / 'foreign.ckpt')
    with pytest.raises(SystemExit) as stopped:
        main([
            'test', '--model=CloudSegTeacherTask', f'--ckpt_path={tmp_path / "foreign.ckpt"}',
            '--data=M3MCRDataModule', f'--data.root={miniature}', '--trainer.logger=false',
        ])  # fmt: skip
    assert stopped.value.code == 1
    assert 'imported' not in capsys.readouterr().err
