"""Making encoders, and loading weights into them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from segmentation_models_pytorch.encoders import get_encoder

from torchgeo_cloudseg.models import (
    CloudSegNet,
    PretrainedWeightsError,
    WeightsFileError,
    create_encoder,
)
from torchgeo_cloudseg.models.weights import adapt_first_weight

STEM = 'patch_embed1.proj.weight'


@pytest.fixture(scope='module')
def smp_weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    return get_encoder('mit_b0', in_channels=3, weights=None).state_dict()


@pytest.fixture(scope='module')
def weights_file(smp_weights: dict[str, torch.Tensor], tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('weights') / 'mit_b0.pth'
    torch.save(smp_weights, path)
    return path


@pytest.mark.parametrize('channels', [2, 3, 4, 7])
def test_first_convolution_repeats_cyclically(channels: int) -> None:
    weight = torch.randn(8, 3, 7, 7)
    adapted = adapt_first_weight(weight, channels)
    assert adapted.shape == (8, channels, 7, 7)
    for i in range(channels):
        torch.testing.assert_close(adapted[:, i], weight[:, i % 3] * 3 / channels)


def test_local_weights_reach_all_encoders(
    smp_weights: dict[str, torch.Tensor], weights_file: Path
) -> None:
    net = CloudSegNet('mit_b0', in_channels=(4, 1), weights=weights_file)
    for encoder, channels in ((net.optical_encoder, 4), (net.sar_encoder, 1)):
        stem = encoder.stages[0].patch_embed.proj.weight
        torch.testing.assert_close(stem, adapt_first_weight(smp_weights[STEM], channels))
    for encoder in (net.optical_encoder, net.sar_encoder, net.cross_encoder):
        got = encoder.stages[2].blocks[1].attn.kv.weight
        torch.testing.assert_close(got, smp_weights['block3.1.attn.kv.weight'])


def test_weights_for_the_right_channels_are_taken_as_they_are(
    smp_weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    stem = torch.randn(32, 2, 7, 7)
    torch.save({**smp_weights, STEM: stem, 'head.weight': torch.ones(1000, 256)}, tmp_path / 'w')
    encoder = create_encoder('mit_b0', 2, weights=str(tmp_path / 'w'))
    assert encoder.stages[0].patch_embed.proj.weight.equal(stem)


def test_safetensors(smp_weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(smp_weights, tmp_path / 'w.safetensors')
    encoder = create_encoder('mit_b0', 3, weights=tmp_path / 'w.safetensors')
    assert encoder.stages[3].norm.weight.equal(smp_weights['norm4.weight'])


def test_error_lists_what_does_not_fit(
    smp_weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    wrong = {**smp_weights, 'surplus': torch.ones(1), 'norm1.bias': torch.ones(5)}
    del wrong['norm4.weight']
    torch.save(wrong, tmp_path / 'w.pth')
    with pytest.raises(PretrainedWeightsError) as error:
        create_encoder('mit_b0', 3, weights=tmp_path / 'w.pth')
    message = str(error.value)
    assert 'missing: norm4.weight' in message
    assert 'unexpected: surplus' in message
    assert 'norm1.bias (5,) instead of (32,)' in message
    assert str(tmp_path / 'w.pth') in message


def test_weights_of_another_encoder(weights_file: Path) -> None:
    with pytest.raises(PretrainedWeightsError, match='of another shape'):
        create_encoder('mit_b1', 3, weights=weights_file)


@pytest.mark.parametrize('content', [[1, 2], {}, {'a': 1}])
def test_file_without_state_dict(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / 'w.pth')
    with pytest.raises(WeightsFileError, match='expected a dict of tensors by name'):
        create_encoder('mit_b0', 3, weights=tmp_path / 'w.pth')


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='no such file of weights'):
        create_encoder('mit_b0', 3, weights=tmp_path / 'none.pth')


def test_imagenet_without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # an empty cache and no way out: as on a machine behind a wall
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    with pytest.raises(PretrainedWeightsError, match='could not be downloaded') as error:
        create_encoder('mit_b0', 4, weights=True)
    assert 'weights=None' in str(error.value)


def test_unknown_encoder() -> None:
    with pytest.raises(ValueError, match=r"encoder='mit_b9'.*neither"):
        create_encoder('mit_b9', 4)
    with pytest.raises(ValueError, match=r'similar: .*resnet'):
        create_encoder('resnet_banana', 4)


def test_without_weights_channels_start_different() -> None:
    stem = create_encoder('mit_b0', 4).stages[0].patch_embed.proj
    assert not stem.weight[:, 0].equal(stem.weight[:, 3])
    # fan-out of a 7x7 convolution to 32 channels
    assert stem.weight.std().item() == pytest.approx((2 / (49 * 32)) ** 0.5, rel=0.05)
