"""Training and testing, as typed."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from matplotlib.image import imread

from torchgeo_cloudseg.cli import COMMANDS, main
from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.miniature import write_miniature_m3mcr
from torchgeo_cloudseg.trainers.arguments import task_arguments

CONFIGS = Path(__file__).parents[2] / 'torchgeo_cloudseg/configs/m3mcr'
SCRIPTS = Path(sys.executable).parent

#: What makes an afternoon of training a matter of seconds.
SMALL = (
    '--model.init_args.backbone=mit_b0',
    '--model.init_args.weights=false',
    '--data.init_args.batch_size=2',
    '--data.init_args.patch_size=80',
    '--data.init_args.length=4',
    '--data.init_args.num_workers=0',
    '--trainer.max_epochs=1',
    '--trainer.accelerator=cpu',
)


def typed(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a console script of this environment."""
    script, *arguments = map(str, command)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    return subprocess.run(
        [str(SCRIPTS / script), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope='module')
def trained(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which teacher and student have been trained by TorchGeo's command."""
    folder = tmp_path_factory.mktemp('trained')
    root = f'--data.init_args.root={miniature}'
    for name in ('teacher', 'student'):
        done = typed(
            'torchgeo', 'fit', '--config', CONFIGS / f'{name}.yaml', root, *SMALL, cwd=folder
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_torchgeo_trains_teacher_and_student(trained: Path) -> None:
    for name in ('teacher', 'student'):
        output = trained / 'output/m3mcr' / name
        assert (output / f'{name}.ckpt').is_file()
        assert (output / 'last.ckpt').is_file()
        assert list(output.glob('lightning_logs/version_0/events.*'))
        hparams = task_arguments(torch.load(output / f'{name}.ckpt', weights_only=True))
        assert hparams['backbone'] == 'mit_b0'
        assert hparams['labels'][3] == 'urban'


@pytest.mark.slow
def test_cloudseg_test_prints_and_writes_the_table(
    trained: Path,
    miniature: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setenv('COLUMNS', '100')
    # the student's checkpoint is all that is needed
    shutil.move('output/m3mcr/teacher/teacher.ckpt', 'teacher.ckpt')
    config = ['--config', str(CONFIGS / 'student.yaml'), f'--data.init_args.root={miniature}']
    checkpoint = 'output/m3mcr/student/student.ckpt'
    # the configuration asks for ImageNet's weights, which a trained network does not need
    small = [option for option in SMALL if 'weights' not in option]
    main(['test', *config, *small, f'--ckpt_path={checkpoint}'])
    shutil.move('teacher.ckpt', 'output/m3mcr/teacher/teacher.ckpt')

    printed = capsys.readouterr().out
    for text in (
        'all pixels',
        'clear sky',
        'under clouds',
        'mean IoU, %',
        'IoU urban, %',
        'PSNR, dB',
    ):
        assert text in printed
    (table,) = Path('output/m3mcr/student').rglob('test.json')
    scores = json.loads(table.read_text())
    assert 0 <= scores['cloudy_mIoU'] <= 1
    assert f'{100 * scores["all_OA"]:.2f}' in printed
    assert imread(table.with_suffix('.png')).std() > 0.05
    with table.with_suffix('.csv').open(newline='') as lines:
        rows = {row['score']: row for row in csv.DictReader(lines)}
    assert float(rows['mIoU']['cloudy']) == pytest.approx(scores['cloudy_mIoU'])
    with table.with_name('test_scenes.csv').open(newline='') as lines:
        scenes = list(csv.DictReader(lines))
    assert [scene['scene'] for scene in scenes] == M3MCR(miniature, 'test').scene_names
    assert all(scene['scene'] in printed for scene in scenes)
    right = sum(float(scene['all_OA']) * int(scene['pixels']) for scene in scenes)
    pixels = sum(int(scene['pixels']) for scene in scenes)
    assert right / pixels == pytest.approx(scores['all_OA'])
    # all scenes are of one size
    errors = [float(scene['all_MAE']) for scene in scenes]
    assert sum(errors) / len(scenes) == pytest.approx(scores['all_MAE'], rel=1e-5)
    assert [row for row in rows if row.startswith('IoU_')] == [
        f'IoU_{name}' for name in ('forest', 'rangeland', 'agriculture', 'urban', 'barren', 'water')
    ]


@pytest.mark.slow
def test_cloudseg_knows_classes_by_name(miniature: Path, tmp_path: Path) -> None:
    done = typed(
        'cloudseg', 'fit', '--model=CloudSegTeacherTask', '--model.backbone=mit_b0',
        '--data=M3MCRDataModule', f'--data.root={miniature}', '--data.batch_size=2',
        '--data.patch_size=80', '--data.length=2', '--trainer.max_epochs=1',
        '--trainer.accelerator=cpu',
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.rglob('*.ckpt')} == {'best.ckpt', 'last.ckpt'}


@pytest.mark.slow
def test_checkpoints_may_be_left_out(
    miniature: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main([
        'fit', '--model=CloudSegTeacherTask', '--model.backbone=mit_b0', '--data=M3MCRDataModule',
        f'--data.root={miniature}', '--data.batch_size=1', '--data.patch_size=40',
        '--data.length=1', '--trainer.max_epochs=1', '--trainer.accelerator=cpu',
        '--trainer.enable_checkpointing=false', '--trainer.logger=false',
    ])  # fmt: skip
    assert not list(tmp_path.rglob('*.ckpt'))


def test_errors_are_for_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    student = [
        '--model=CloudSegStudentTask',
        '--model.backbone=mit_b0',
        '--model.teacher=none.ckpt',
    ]
    data = ['--data=M3MCRDataModule', f'--data.root={tmp_path / "nowhere"}']
    with pytest.raises(SystemExit) as stopped:
        main(['fit', *student, *data, '--trainer.logger=false', '--trainer.accelerator=cpu'])
    assert stopped.value.code == 1
    assert 'nowhere' in capsys.readouterr().err
    teacher = ['--model=CloudSegTeacherTask', '--model.backbone=mit_b0']
    root = write_miniature_m3mcr(tmp_path / 'data', patches_per_area=1, progress=False)
    data = ['--data=M3MCRDataModule', f'--data.root={root}', '--trainer.overfit_batches=1e-3']
    with pytest.raises(SystemExit) as stopped:
        main(['fit', *teacher, *data, '--trainer.logger=false'])
    assert stopped.value.code == 1
    assert 'limit_val_batches' in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    'name',
    ['test', *(pytest.param(name, marks=pytest.mark.slow) for name in ('validate', 'predict'))],
)
@pytest.mark.parametrize('checkpoint', [None, 'none.ckpt'])
def test_initial_weights_are_not_evaluated(
    name: str, checkpoint: str | None, miniature: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ['--model=CloudSegTeacherTask', '--data=M3MCRDataModule', f'--data.root={miniature}']
    given = [] if checkpoint is None else [f'--ckpt_path={checkpoint}']
    with pytest.raises(SystemExit) as stopped:
        main([name, *config, *given, '--trainer.logger=false', '--trainer.accelerator=cpu'])
    assert stopped.value.code == 1
    assert (checkpoint or '--ckpt_path') in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(['--help'])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert all(f'  {name}' in printed for name in COMMANDS)
    with pytest.raises(SystemExit) as stopped:
        main(['unheard-of'])
    assert stopped.value.code == 2
    assert 'unheard-of' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('program', ['cloudseg', 'torchgeo'])
@pytest.mark.parametrize('kind', ['M3MCRDataModule', 'WHUOPTSARDataModule'])
def test_misspelt_argument_of_the_data_is_refused(program: str, kind: str, tmp_path: Path) -> None:
    base = [
        program, 'fit', '--model=torchgeo_cloudseg.trainers.CloudSegTeacherTask',
        f'--data=torchgeo_cloudseg.datamodules.{kind}', '--print_config',
    ]  # fmt: skip
    sound = typed(*base, '--data.root=x', '--data.val_share=0.2', cwd=tmp_path)
    assert sound.returncode == 0, sound.stderr
    assert 'val_share: 0.2' in sound.stdout
    misspelt = typed(*base, '--data.rooot=x', cwd=tmp_path)
    assert misspelt.returncode == 2
    assert 'rooot' in misspelt.stderr


@pytest.mark.slow
def test_any_data_set_from_the_command_line(miniature: Path, tmp_path: Path) -> None:
    done = typed(
        'cloudseg', 'fit', '--model=CloudSegTeacherTask', '--model.backbone=mit_b0',
        '--model.weights=false', '--data=SceneDataModule',
        '--data.dataset=torchgeo_cloudseg.datasets.M3MCR', '--data.batch_size=2',
        '--data.patch_size=80', '--data.length=2', f'--data.dict_kwargs.root={miniature}',
        '--trainer.max_epochs=1', '--trainer.accelerator=cpu', '--trainer.logger=false',
        '--trainer.callbacks=null', cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
