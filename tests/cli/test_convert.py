"""The authors' weights as checkpoints, and what a checkpoint does not state, as typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import save_untrained
from torch import Tensor

from torchgeo_cloudseg.cli import main
from torchgeo_cloudseg.models import load_reference_checkpoint
from torchgeo_cloudseg.trainers import CloudSegTeacherTask, load_mapper, load_network


@pytest.mark.slow
def test_teacher(
    released_network: Callable[[str], dict[str, Tensor]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, target = tmp_path / 'TeacherNet.pth', tmp_path / 'teacher.ckpt'
    torch.save({'network': released_network('teacher')}, source)
    main(['convert', str(source), str(target)])
    printed = ' '.join(capsys.readouterr().out.split())
    assert 'teacher, mit_b4, 6 classes' in printed
    assert '--dataset NAME' in printed
    expected = load_reference_checkpoint(source).state_dict()
    loaded = CloudSegTeacherTask.load_from_checkpoint(target).model.state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    assert not load_network(target).config.reconstruct
    with pytest.raises(ValueError, match=r'does not state.*--dataset NAME.*--facts\.class_names'):
        load_mapper(target)

    main(['convert', str(source), str(target), '--dataset=m3mcr', '--overwrite'])
    assert '--dataset' not in capsys.readouterr().out
    spec = load_mapper(target)[1]
    assert spec.class_names[::5] == ('forest', 'water')
    assert spec.sar_range == ((-25.0, -32.5), (0.0, 0.0))


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """Checkpoint of a network whose data stated nothing."""
    task = CloudSegTeacherTask(
        backbone='mit_b0', in_channels=(3, 1), num_classes=2, label_scale=0.5, window=64
    )
    return save_untrained(task, tmp_path / 'silent.ckpt')


@pytest.mark.slow
def test_facts_of_other_data_are_stated(silent: Path, tmp_path: Path) -> None:
    target = tmp_path / 'stated.ckpt'
    facts = {
        'class_names': '[dry, wet]',
        'class_colors': '[[0, 99, 0], [0, 0, 99]]',
        'optical_bands': '[3, 2, 1]',
        'sar_bands': '[1]',
        'optical_range': '[[0], [255]]',
        'sar_range': '[[-30], [5]]',
    }
    given = [f'--facts.{name}={value}' for name, value in facts.items()]
    main(['convert', str(silent), str(target), *given])
    network, spec = load_mapper(target)
    assert (spec.class_names, spec.class_colors) == (('dry', 'wet'), ((0, 99, 0), (0, 0, 99)))
    assert (spec.optical_bands, spec.sar_bands) == ((3, 2, 1), (1,))
    assert (spec.optical_range, spec.sar_range) == (((0.0,), (255.0,)), ((-30.0,), (5.0,)))
    # of the task itself
    assert (float(spec.label_scale), spec.window) == (0.5, 64)
    expected = load_network(silent).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--dataset=m3mcr'], '6 or 11 classes, expected 2'),
        (['--dataset=other'], "dataset='other' must be one of"),
        (['--facts.class_names=[dry, wet]'], "missing ['class_colors', 'optical_bands'"),
        (['--facts.colors=[1]'], "unknown ['colors']"),
    ],
)
def test_what_is_missing_is_said(
    arguments: list[str],
    message: str,
    silent: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(['convert', str(silent), str(tmp_path / 'target.ckpt'), *arguments])
    assert message in ' '.join(capsys.readouterr().err.split())
    assert not (tmp_path / 'target.ckpt').exists()


def test_other_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / 'other.pth', tmp_path / 'other.ckpt'
    torch.save({'network': {'module.conv.weight': torch.zeros(1)}}, source)
    for path in (source, tmp_path / 'missing.pth'):
        with pytest.raises(SystemExit) as stopped:
            main(['convert', str(path), str(target)])
        assert stopped.value.code == 1
        assert path.name in capsys.readouterr().err
    assert not target.exists()
