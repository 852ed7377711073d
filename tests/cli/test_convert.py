"""The authors' weights as checkpoints, as typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from torchgeo_cloudseg.cli import main
from torchgeo_cloudseg.models import load_reference_checkpoint
from torchgeo_cloudseg.trainers import CloudSegTeacherTask, load_network


@pytest.mark.slow
def test_teacher(
    released_network: Callable[[str], dict[str, Tensor]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, target = tmp_path / 'TeacherNet.pth', tmp_path / 'teacher.ckpt'
    torch.save({'network': released_network('teacher')}, source)
    main(['convert', str(source), str(target)])
    assert 'teacher, mit_b4, 6 classes' in ' '.join(capsys.readouterr().out.split())
    expected = load_reference_checkpoint(source).state_dict()
    loaded = CloudSegTeacherTask.load_from_checkpoint(target).model.state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    assert not load_network(target).config.reconstruct


def test_other_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / 'other.pth', tmp_path / 'other.ckpt'
    torch.save({'network': {'module.conv.weight': torch.zeros(1)}}, source)
    for path in (source, tmp_path / 'missing.pth'):
        with pytest.raises(SystemExit) as stopped:
            main(['convert', str(path), str(target)])
        assert stopped.value.code == 1
        assert path.name in capsys.readouterr().err
    assert not target.exists()
