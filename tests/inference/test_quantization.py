"""Networks with 8 bits, and the windows that they are calibrated on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from torchgeo_cloudseg.inference import ScenePair, SceneSpec
from torchgeo_cloudseg.inference.errors import ExportError
from torchgeo_cloudseg.inference.export import FACTS, CalibrationScenes, export_network
from torchgeo_cloudseg.models import CloudSegLite, CloudSegNet, Network
from torchgeo_cloudseg.rasters import SceneError


def pair_of(scene) -> ScenePair:
    return ScenePair(scene.optical.stem, str(scene.optical), str(scene.sar))


def test_windows_are_those_of_a_map(make_scene, spec: SceneSpec) -> None:
    scenes = [make_scene(220, 300, 'a'), make_scene(300, 170, 'b')]
    pairs = [pair_of(scene) for scene in scenes]
    windows = CalibrationScenes(pairs, windows=7, seed=1).read(spec, progress=False)
    assert {image.shape for image, _ in windows} == {(1, 4, 160, 160)}
    assert {sar.shape for _, sar in windows} == {(1, 2, 160, 160)}
    found = [0, 0]
    for image, _ in windows:
        stored = (image[0].numpy() * 10_000).round().astype(np.uint16)
        for i, scene in enumerate(scenes):
            corners = np.argwhere(
                (scene.optical_pixels[:, :-159, :-159] == stored[:, :1, :1]).all(0)
            )
            for top, left in corners:
                part = scene.optical_pixels[:, top : top + 160, left : left + 160]
                found[i] += np.array_equal(part, stored)
    # all from the scenes, and from both alike
    assert sorted(found) == [3, 4]
    again = CalibrationScenes(pairs, windows=7, seed=1).read(spec, progress=False)
    assert all(torch.equal(x[0], y[0]) for x, y in zip(windows, again, strict=True))
    other = CalibrationScenes(pairs, windows=7, seed=2).read(spec, progress=False)
    assert not torch.equal(windows[0][0], other[0][0])


def test_windows_have_data(make_scene, write_raster, spec: SceneSpec) -> None:
    scene = make_scene(300, 600)
    pixels = scene.optical_pixels.copy()
    pixels[:, :, 200:] = 0
    write_raster(scene.optical, pixels, nodata=0)
    windows = CalibrationScenes([pair_of(scene)], windows=12).read(spec, progress=False)
    assert len(windows) == 12
    assert min(float((image > 0).float().mean()) for image, _ in windows) >= 0.5
    pixels[:, :, 30:] = 0
    write_raster(scene.optical, pixels, nodata=0)
    with pytest.raises(ExportError, match=r'scene_optical\.tif: found no window of 160 px'):
        CalibrationScenes([pair_of(scene)], windows=2).read(spec, progress=False)


def test_scenes_that_cannot_be_meant_are_refused(make_scene, write_raster, spec) -> None:
    scene = make_scene()
    write_raster(scene.optical, np.clip(scene.optical_pixels, 1, 10000).astype(np.float32) / 1e4)
    with pytest.raises(SceneError, match=r'scene_optical\.tif'):
        CalibrationScenes([pair_of(scene)], windows=2).read(spec, progress=False)
    with pytest.raises(ValueError, match='0 scenes'):
        CalibrationScenes([])


def test_arguments_that_do_not_fit(make_scene, spec: SceneSpec, tmp_path: Path) -> None:
    net = CloudSegNet('resnet18', num_classes=3, modalities='early')
    calibration = CalibrationScenes([pair_of(make_scene())])
    with pytest.raises(ValueError, match='quantize=int8: found no scenes'):
        export_network(net, spec, tmp_path / 'x.onnx', quantize='int8')
    with pytest.raises(ValueError, match='quantize=None: found scenes to calibrate on'):
        export_network(net, spec, tmp_path / 'x.onnx', calibration=calibration)
    with pytest.raises(ValueError, match=r'found \.pt2, expected an \.onnx file'):
        export_network(net, spec, tmp_path / 'x.pt2', quantize='int8', calibration=calibration)
    assert not list(tmp_path.glob('x*'))


def lite() -> Network:
    return CloudSegLite(num_classes=3)


def attention() -> Network:
    return CloudSegNet('mit_b0', num_classes=3, reconstruct=False, modalities='early')


@pytest.mark.slow
@pytest.mark.parametrize('make', [lite, attention])
def test_quantized_network(
    make: Callable[[], Network], make_scene, spec: SceneSpec, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net, pairs, path = make(), [pair_of(make_scene())], tmp_path / 'small.onnx'
    windows = CalibrationScenes(pairs, windows=10).read(spec, progress=False)
    with torch.no_grad():
        # batch norms have seen something
        net(*(torch.cat(images) for images in zip(*windows, strict=True)))
    options = {'quantize': 'int8', 'calibration': CalibrationScenes(pairs, windows=10, seed=1)}
    facts = export_network(net.eval(), spec, path, **options, progress=False)
    # of 4 bytes each, before
    assert path.stat().st_size < 2.5 * facts['parameters']
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path)
    inside = json.loads(session.get_modelmeta().custom_metadata_map[FACTS])
    assert inside == json.loads(json.dumps(facts))
    found = inside['quantization']
    assert (found['type'], found['windows'], found['compared']) == ('int8', 8, 2)
    assert found['scenes'] == ['scene_optical']
    assert found['agreement'] > 0.8
    with torch.no_grad():
        expected = net(*windows[0]).logits
    inputs = {'optical': windows[0][0].numpy(), 'sar': windows[0][1].numpy()}
    (logits,) = session.run(['logits'], inputs)
    assert 0 < float((torch.from_numpy(logits) - expected).abs().mean()) < 0.2 * expected.std()
    # of any size, as without 8 bits
    optical, sar = torch.rand(3, 4, 33, 71).numpy(), torch.rand(3, 2, 33, 71).numpy()
    (logits,) = session.run(['logits'], {'optical': optical, 'sar': sar})
    assert logits.shape == (3, 3, 33, 71)
    with pytest.raises(FileExistsError, match=r'small\.onnx'):
        export_network(net, spec, path, **options)
