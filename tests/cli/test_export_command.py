"""Networks as files for other programs, as typed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from helpers import save_untrained

from torchgeo_cloudseg.cli import main
from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.trainers import CloudSegStudentTask, load_network

#: Runs a file where this package is unknown.
ELSEWHERE = """
import json, sys
import torch
files = {'cloudseg.json': ''}
run = torch.export.load(sys.argv[1], extra_files=files).module()
images = torch.load(sys.argv[2])
torch.save({'outputs': run(*images), 'facts': files['cloudseg.json']}, sys.argv[3])
assert not any(name.startswith('torchgeo') for name in sys.modules)
"""


@pytest.fixture(scope='module')
def student_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of an untrained student."""
    torch.manual_seed(0)
    task = CloudSegStudentTask(backbone='resnet18', modalities='early')
    task.scene_spec = M3MCR.published_spec(num_classes=6)
    return save_untrained(task, tmp_path_factory.mktemp('student') / 'student.ckpt')


@pytest.mark.slow
def test_torch_file_runs_elsewhere(
    student_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'student.pt2'
    main(['export', str(student_file), str(path), '--reconstruct', '--quiet'])
    printed = capsys.readouterr()
    assert 'logits and reconstruction from optical and sar' in ' '.join(printed.out.split())
    assert printed.err == ''
    images = torch.rand(2, 4, 75, 130), torch.rand(2, 2, 75, 130)
    torch.save(images, tmp_path / 'images.pt')
    command = [sys.executable, '-c', ELSEWHERE, path, tmp_path / 'images.pt', tmp_path / 'found.pt']
    subprocess.run(command, check=True, cwd=tmp_path, timeout=300)
    found = torch.load(tmp_path / 'found.pt')
    with torch.no_grad():
        expected = load_network(student_file)(*images)
    torch.testing.assert_close(found['outputs']['logits'], expected.logits)
    torch.testing.assert_close(found['outputs']['reconstruction'], expected.reconstruction)
    facts = json.loads(found['facts'])
    assert facts['class_names'][:2] == ['forest', 'rangeland']
    assert facts['sar_range'] == [[-25.0, -32.5], [0.0, 0.0]]
    assert (facts['label_scale'], facts['window']) == ('3/10', 160)


@pytest.mark.slow
def test_onnx_file(student_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / 'student.onnx'
    main(['export', str(student_file), str(path), '--resolution', 'label', '--quiet'])
    printed = capsys.readouterr()
    assert 'logits from optical and sar, resnet18, 6 classes' in ' '.join(printed.out.split())
    assert printed.err == ''
    # weights and all in one file, and what it is beside it
    names = ['student.onnx', 'student.onnx.json', 'student.onnx.md']
    assert sorted(x.name for x in tmp_path.iterdir()) == names
    onnx.checker.check_model(path, full_check=True)
    optical, sar = torch.rand(1, 4, 160, 200), torch.rand(1, 2, 160, 200)
    session = onnxruntime.InferenceSession(path)
    assert {x.name: x.shape for x in session.get_inputs()} == {
        'optical': ['batch', 4, 'height', 'width'],
        'sar': ['batch', 2, 'height', 'width'],
    }
    (logits,) = session.run(['logits'], {'optical': optical.numpy(), 'sar': sar.numpy()})
    with torch.no_grad():
        expected = load_network(student_file)(optical, sar, (48, 60)).logits
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-4, atol=1e-5)
    facts = json.loads(session.get_modelmeta().custom_metadata_map['cloudseg.json'])
    assert facts['resolution'] == 'label'


@pytest.mark.slow
def test_eight_bits(
    student_file: Path, miniature: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, scenes = tmp_path / 'small.onnx', miniature / 'test'
    command = ['export', str(student_file), str(path), '--quantize', 'int8']
    command += ['--calibration-optical', str(scenes / 'planet_cloudy_*' / '*')]
    command += ['--calibration-sar', str(scenes / 'S1_*' / '*'), '--calibration-windows', '5']
    main(command)
    printed = ' '.join(capsys.readouterr().out.split())
    assert re.search(r'int8: [0-9.]+% of the pixels of 1 windows have the class', printed)
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert {'QuantizeLinear', 'DequantizeLinear'} <= operators
    assert 'calibrated on 4 windows' in (tmp_path / 'small.onnx.md').read_text()
    item = json.loads((tmp_path / 'small.onnx.json').read_text())
    assert item['properties']['mlm:hyperparameters']['quantization'] == 'int8'


@pytest.mark.slow
def test_what_cannot_be_is_said(
    student_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        (['student.h5'], 'found .h5, expected one of .pt2, .onnx'),
        (['nowhere/student.pt2'], 'no such folder'),
        (['student.onnx', '--quantize', 'int8'], 'expected int8 and scenes to calibrate on'),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(['export', str(student_file), str(tmp_path / arguments[0]), *arguments[1:]])
        assert stopped.value.code == 1
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
