"""The demo, as typed, with next to no training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.image import imread

from torchgeo_cloudseg.cli import main
from torchgeo_cloudseg.trainers import CloudSegStudentTask


@pytest.mark.slow
@pytest.mark.parametrize('dataset', ['m3mcr', 'whuoptsar'])
def test_demo_runs_the_whole_line(
    dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = ['--teacher_steps=1', '--student_steps=1']
    main(['demo', f'--output={tmp_path}', f'--dataset={dataset}', *steps])
    printed = capsys.readouterr().out
    for name in (
        'student-cloudy',
        'early-fusion-cloudy',
        'SAR-only',
        'teacher-cloudy',
        'teacher-cloud-free',
    ):
        scores = json.loads((tmp_path / f'{name}.json').read_text())
        assert 0 <= scores['cloudy_mIoU'] < 0.5
        # what is printed is what this run has measured
        assert f'{100 * scores["cloudy_mIoU"]:.1f}' in printed
        assert (tmp_path / f'{name}.csv').is_file()
    assert imread(tmp_path / 'demo.png').std() > 0.1
    student = CloudSegStudentTask.load_from_checkpoint(tmp_path / 'student/last.ckpt')
    assert student.hparams['init_from_teacher']
    assert not list(tmp_path.glob('.*'))
