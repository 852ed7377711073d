"""Networks in folders, as on the Hugging Face Hub; released files, as TorchGeo lists weights."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.models import (
    CloudSegLite,
    CloudSegNet,
    CloudSegNet_Weights,
    Network,
    WeightsFileError,
)
from torchgeo_cloudseg.trainers import load_mapper


@pytest.fixture
def saved(tmp_path: Path) -> tuple[CloudSegNet, Path]:
    torch.manual_seed(0)
    network = CloudSegNet('mit_b0', (4, 2), 6, spatial_gate=False).eval()
    network.scene_spec = M3MCR.published_spec(num_classes=6)
    network.save_pretrained(tmp_path / 'net')
    return network, tmp_path / 'net'


@pytest.mark.slow
def test_saved_network_is_the_same(saved: tuple[CloudSegNet, Path]) -> None:
    network, folder = saved
    images = torch.rand(1, 4, 64, 64), torch.rand(1, 2, 64, 64)
    for kind in (CloudSegNet, Network):
        loaded = kind.from_pretrained(folder)
        assert isinstance(loaded, CloudSegNet)
        assert loaded.config == network.config
        assert loaded.scene_spec == network.scene_spec
        assert not loaded.training
        with torch.no_grad():
            assert torch.equal(loaded(*images).logits, network(*images).logits)


@pytest.mark.slow
def test_maps_take_the_folder(saved: tuple[CloudSegNet, Path]) -> None:
    network, folder = saved
    assert load_mapper(folder)[1] == network.scene_spec
    network.scene_spec = None
    network.save_pretrained(folder)
    with pytest.raises(ValueError, match='does not state what the network expects'):
        load_mapper(folder)


@pytest.mark.slow
def test_other_networks_and_weights_are_refused(saved: tuple[CloudSegNet, Path]) -> None:
    _, folder = saved
    with pytest.raises(WeightsFileError, match='that of a CloudSegLite'):
        CloudSegLite.from_pretrained(folder)
    weights = load_file(folder / 'model.safetensors')
    save_file({**weights, 'head.bias': torch.zeros(7)}, folder / 'model.safetensors')
    with pytest.raises(WeightsFileError, match=r'head\.bias'):
        CloudSegNet.from_pretrained(folder)
    config = folder / 'config.json'
    config.write_text(json.dumps({'architecture': 'os.system'}))
    with pytest.raises(WeightsFileError, match='no such configuration'):
        CloudSegNet.from_pretrained(folder)


def test_constructors_tell_their_arguments() -> None:
    assert list(inspect.signature(CloudSegNet).parameters)[:2] == ['encoder', 'in_channels']


@pytest.mark.slow
def test_released_files_by_their_checksum(
    released_network: Callable[[str], dict[str, Tensor]], tmp_path: Path
) -> None:
    path = tmp_path / 'StudentNet.pth'
    torch.save({'network': released_network('student'), 'optimizer': {}, 'epoch': 1}, path)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    weights = CloudSegNet_Weights.M3MCR_STUDENT
    network = weights.load(path.as_uri(), checksum.upper())
    assert network.config.reconstruct
    assert network.config.in_channels == weights.meta['in_chans']
    with pytest.raises(WeightsFileError, match='SHA-256'):
        weights.load(path, '0' * 64)
    with pytest.raises(WeightsFileError, match="the student's weights"):
        CloudSegNet_Weights.M3MCR_TEACHER.load(path, checksum)
