"""Networks written to files, against themselves."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from torchgeo_cloudseg.datasets.scene_spec import spec_from_dict
from torchgeo_cloudseg.inference import SceneSpec
from torchgeo_cloudseg.inference.errors import ExportError
from torchgeo_cloudseg.inference.export import FACTS, export_network
from torchgeo_cloudseg.models import Calibration, CloudSegLite, CloudSegNet

#: Batch, height and width; of none of them was the graph recorded.
SIZES = ((1, 1, 1), (1, 40, 300), (3, 160, 160), (2, 97, 65))


@pytest.fixture
def spec() -> SceneSpec:
    names = ('a', 'b', 'c')
    return SceneSpec(names, ((1, 2, 3),) * 3, sar_bands=(2, 1), label_scale=Fraction(3, 10))


def make_network(encoder: str, student: bool, modalities: str = 'both') -> CloudSegNet:
    """A network whose batch norms have seen something."""
    torch.manual_seed(0)
    net = CloudSegNet(
        encoder,
        num_classes=3,
        spatial_gate=student,
        reconstruct=student,
        drop_path=0.0,
        modalities=modalities,
    )
    with torch.no_grad():
        net(*images(4, 64, 64))
    return net.eval()


def images(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    return torch.rand(batch, 4, height, width), torch.rand(batch, 2, height, width)


def open_file(path: Path) -> tuple[Callable[[Tensor, Tensor], dict[str, Tensor]], dict, set[str]]:
    """What runs a file, the facts in it, and the names of its weights."""
    if path.suffix == '.pt2':
        files = {FACTS: ''}
        program = torch.export.load(path, extra_files=files)
        return program.module(), json.loads(files[FACTS]), set(program.state_dict)
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]

    def run(optical: Tensor, sar: Tensor) -> dict[str, Tensor]:
        values = session.run(names, {'optical': optical.numpy(), 'sar': sar.numpy()})
        return dict(zip(names, map(torch.from_numpy, values), strict=True))

    weights = {x.name for x in onnx.load(path).graph.initializer}
    return run, json.loads(session.get_modelmeta().custom_metadata_map[FACTS]), weights


@pytest.mark.slow
@pytest.mark.parametrize(
    ('file', 'encoder', 'student', 'reconstruct', 'label'),
    [
        ('a.pt2', 'mit_b0', True, True, False),
        ('b.onnx', 'mit_b0', False, False, True),
        ('c.onnx', 'resnet18', True, True, False),
        ('d.pt2', 'convnext_atto', True, False, True),
    ],
)
def test_outputs_are_those_of_the_network(
    file: str,
    encoder: str,
    student: bool,
    reconstruct: bool,
    label: bool,
    spec: SceneSpec,
    tmp_path: Path,
) -> None:
    net, path = make_network(encoder, student), tmp_path / file
    before = {name: x.clone() for name, x in net.state_dict().items()}
    facts = export_network(net, spec, path, reconstruct, 'label' if label else 'optical')
    assert sorted(x.name for x in tmp_path.iterdir()) == [file, f'{file}.json', f'{file}.md']
    assert all(torch.equal(x, before[name]) for name, x in net.state_dict().items())

    run, facts_inside, weights = open_file(path)
    assert facts_inside == json.loads(json.dumps(facts))
    item = json.loads((tmp_path / f'{file}.json').read_text())
    assert item['properties']['mlm:total_parameters'] == facts['parameters']
    assert item['assets']['model']['file:size'] == path.stat().st_size
    assert spec_from_dict({name: facts_inside[name] for name in vars(spec)}) == spec
    # nothing of the branch that is not run, nor the convolution that only it looks at
    branch = ('network.reconstruction.', 'network.fusions.3.to_optical.')
    assert any(name.startswith(branch) for name in weights) == reconstruct
    for batch, height, width in SIZES:
        if label and height == 1:
            continue
        optical, sar = images(batch, height, width)
        size = (height * 3 // 10, width * 3 // 10) if label else None
        with torch.no_grad():
            expected = net(optical, sar, size)
        found = run(optical, sar)
        assert set(found) == set(facts['outputs'])
        torch.testing.assert_close(found['logits'], expected.logits, rtol=1e-4, atol=1e-4)
        if reconstruct:
            image = found['reconstruction']
            torch.testing.assert_close(image, expected.reconstruction, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('file', ['a.onnx', 'a.pt2'])
def test_opacity_and_calibration_go_with_the_network(
    file: str, spec: SceneSpec, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net = CloudSegLite(num_classes=3)
    with torch.no_grad():
        net(*images(4, 64, 64))
    net.eval().calibration = Calibration((1.5, 2.0), edges=(0.5,))
    facts = export_network(net, spec, tmp_path / file)
    run, inside, _ = open_file(tmp_path / file)
    assert inside['outputs'] == ['logits', 'opacity']
    assert Calibration(**inside['calibration']) == net.calibration
    assert Calibration(**facts['calibration']) == net.calibration
    optical, sar = images(2, 97, 65)
    with torch.no_grad():
        expected = net(optical, sar)
    found = run(optical, sar)
    assert found['opacity'].shape == (2, 1, 97, 65)
    torch.testing.assert_close(found['opacity'], expected.opacity, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found['logits'], expected.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_file_that_would_be_wrong_is_not_written(spec: SceneSpec, tmp_path: Path) -> None:
    net = make_network('resnet18', student=False, modalities='optical')
    with torch.no_grad():
        net.head.bias[1] = torch.nan
    path = tmp_path / 'wrong.pt2'
    path.write_text('of an earlier run')
    with pytest.raises(ExportError, match=r'wrong\.pt2: not written, because its logits differ'):
        export_network(net, spec, path, overwrite=True)
    assert path.read_text() == 'of an earlier run'
    assert [x.name for x in tmp_path.iterdir()] == ['wrong.pt2']


@pytest.mark.slow
def test_encoders_that_cannot_be_recorded_are_named(spec: SceneSpec, tmp_path: Path) -> None:
    net = make_network('swin_s3_tiny_224', student=False, modalities='sar')
    with pytest.raises(ExportError, match=r"encoder='swin_s3_tiny_224'.*cannot record it"):
        export_network(net, spec, tmp_path / 'x.pt2')
    assert not list(tmp_path.iterdir())


def test_unusable_arguments_are_refused(
    spec: SceneSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = make_network('resnet18', student=False, modalities='optical')
    with pytest.raises(ValueError, match=r'found \.pth, expected one of \.pt2, \.onnx'):
        export_network(net, spec, tmp_path / 'x.pth')
    with pytest.raises(FileNotFoundError, match='nowhere: no such folder'):
        export_network(net, spec, tmp_path / 'nowhere' / 'x.pt2')
    with pytest.raises(ValueError, match='no reconstruction branch'):
        export_network(net, spec, tmp_path / 'x.pt2', reconstruct=True)
    with pytest.raises(ValueError, match='expected those of the network'):
        export_network(net, SceneSpec(('a',), ((0, 0, 0),)), tmp_path / 'x.pt2')
    # as if it were not installed
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    with pytest.raises(ExportError, match=r"needs onnxscript.*pip install '.*\[export\]'"):
        export_network(net, spec, tmp_path / 'x.onnx')
    assert not list(tmp_path.iterdir())
