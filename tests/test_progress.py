"""Progress in logs: lines that end, and not many."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from lightning.pytorch import Trainer

from torchgeo_cloudseg import _progress
from torchgeo_cloudseg._progress import Lines, progress_bar
from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.trainers import CloudSegTeacherTask, watched


def test_lines_tell_what_is_done_and_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter([0.0, 5.0, 31.0, 40.0, 62.0])
    monkeypatch.setattr(time, 'monotonic', lambda: next(seconds))
    bar = Lines(range(4), 'map.tif', None, 'row')
    assert list(bar) == [0, 1, 2, 3]
    assert capsys.readouterr().err.splitlines() == [
        'map.tif: 2 of 4 rows, 0:31, 0:31 left',
        'map.tif: 4 of 4 rows, 1:02',
    ]


def test_short_work_says_nothing_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(title='x', total=3) as bar:
        for _ in range(3):
            bar.update()
    assert list(progress_bar([])) == []
    assert capsys.readouterr().err == ''


def test_bar_on_a_terminal_unless_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_progress.sys.stderr, 'isatty', lambda: True, raising=False)
    assert list(progress_bar([1, 2], 'x')) == [1, 2]
    assert '\r' in capsys.readouterr().err
    monkeypatch.setenv('TQDM_DISABLE', '1')
    assert list(progress_bar([1, 2], 'x')) == [1, 2]
    assert capsys.readouterr().err == ''
    assert watched() == {'enable_progress_bar': False, 'callbacks': []}


@pytest.mark.slow
def test_training_in_a_log(
    miniature: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = Trainer(
        max_epochs=2, accelerator='cpu', logger=False, default_root_dir=tmp_path,
        enable_model_summary=False, enable_checkpointing=False, **watched(),
    )  # fmt: skip
    data = M3MCRDataModule(root=miniature, batch_size=1, patch_size=40, length=2)
    trainer.fit(CloudSegTeacherTask(backbone='mit_b0'), data)
    printed = capsys.readouterr()
    assert '\r' not in printed.out + printed.err
    lines = [line for line in printed.out.splitlines() if line.startswith('epoch')]
    assert [line.partition(':')[0] for line in lines] == ['epoch 1', 'epoch 2']
    assert all('val_mIoU' in line for line in lines)
