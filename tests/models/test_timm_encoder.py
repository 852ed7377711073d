"""timm's encoders between fusion blocks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import timm
import torch
from torchgeo.models import ResNet18_Weights, get_model_weights

from torchgeo_cloudseg.models import CloudSegNet, PretrainedWeightsError, create_encoder

SMALL = ('resnet18', 'convnext_atto', 'pvt_v2_b0')


@pytest.mark.slow
@pytest.mark.parametrize('name', [*SMALL, 'tu-swin_s3_tiny_224', 'densenet121'])
def test_stages_are_those_of_timm(name: str) -> None:
    torch.manual_seed(0)
    encoder = create_encoder(name, 4).eval()
    options = {'strict_img_size': False} if 'swin' in name else {}
    net = timm.create_model(name.removeprefix('tu-'), features_only=True, in_chans=4, **options)
    flat = {k: x for stage in encoder.stages for k, x in stage.body.state_dict().items()}
    net.load_state_dict(flat)
    x = torch.rand(2, 4, 64, 96)
    with torch.no_grad():
        got, expected = encoder(x), net.eval()(x)[-4:]
    for stride, a, b in zip((4, 8, 16, 32), got, expected, strict=True):
        if 'swin' in name:
            b = b.permute(0, 3, 1, 2)
        assert a.shape[-2:] == (64 // stride, 96 // stride)
        torch.testing.assert_close(a, b)
    assert encoder.out_channels == tuple(x.shape[1] for x in got)
    assert encoder.training is False


@pytest.mark.slow
@pytest.mark.parametrize('name', SMALL)
@pytest.mark.parametrize('student', [False, True])
def test_every_parameter_learns(name: str, student: bool) -> None:
    torch.manual_seed(0)
    net = CloudSegNet(name, spatial_gate=student, reconstruct=student, drop_path=0.0)
    out = net(torch.rand(2, 4, 64, 64), torch.rand(2, 2, 64, 64), output_size=(19, 19))
    loss = out.logits.square().mean()
    if student:
        loss = loss + out.reconstruction.square().mean()
    loss.backward()
    assert [name for name, x in net.named_parameters() if x.grad is None] == []


@pytest.mark.parametrize('name', ['convnext_atto', 'pvt_v2_b0'])
def test_drop_path_reaches_timm(name: str) -> None:
    x = torch.rand(4, 3, 64, 64)
    dropping, keeping = create_encoder(name, 3, drop_path=0.9), create_encoder(name, 3, drop_path=0)
    assert not dropping(x)[-1].equal(dropping(x)[-1])
    assert keeping(x)[-1].equal(keeping(x)[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('vit_tiny_patch16_224', 'does not run it as a list of modules'),
        ('maxvit_tiny_tf_224', 'stage at stride 4 does not run on an image of 64 px'),
        ('pit_ti_224', 'does not run it as a list of modules'),
        ('nest_tiny', r'found stages at strides \[4, 8, 16\]'),
        ('inception_v3', r'returned \(1, 192, 12, 12\), expected \(1, 192, 16, 16\)'),
    ],
)
def test_encoders_that_do_not_fit_are_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_encoder(name, 4)


def test_weights_of_a_whole_model(tmp_path: Path) -> None:
    torch.manual_seed(3)
    for name, end in (('convnext_atto', 'stages.3.blocks.1.norm.weight'), ('resnet18', 'fc.bias')):
        whole = timm.create_model(name).state_dict()
        assert end in whole
        torch.save(whole, tmp_path / f'{name}.pth')
        encoder = create_encoder(name, 6, weights=tmp_path / f'{name}.pth')
        loaded = {k: x for stage in encoder.stages for k, x in stage.body.state_dict().items()}
        first, *rest = loaded
        stem = whole[re.sub(r'_(\d)', r'.\1', first)]
        torch.testing.assert_close(loaded[first], torch.cat([stem, stem], dim=1) / 2)
        for key in rest:
            torch.testing.assert_close(loaded[key], whole[re.sub(r'^(s\w+)_(\d)', r'\1.\2', key)])


def test_weights_of_another_timm_encoder(tmp_path: Path) -> None:
    torch.save(timm.create_model('resnet18').state_dict(), tmp_path / 'resnet18.pth')
    with pytest.raises(PretrainedWeightsError, match=r'missing: stem_0\.weight'):
        create_encoder('convnext_atto', 4, weights=tmp_path / 'resnet18.pth')


def fake_download(
    monkeypatch: pytest.MonkeyPatch, weights: ResNet18_Weights
) -> dict[str, torch.Tensor]:
    """Weights as TorchGeo would download them."""
    state = timm.create_model('resnet18', in_chans=weights.meta['in_chans']).state_dict()
    monkeypatch.setattr(type(weights), 'get_state_dict', lambda self, **_: dict(state))
    return state


def test_torchgeo_weights_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = ResNet18_Weights.SENTINEL2_RGB_MOCO
    state = fake_download(monkeypatch, weights)
    net = CloudSegNet('resnet18', weights=('ResNet18_Weights.SENTINEL2_RGB_MOCO', None))
    stem = net.optical_encoder.stages[0].body.conv1.weight
    torch.testing.assert_close(stem[:, 3], state['conv1.weight'][:, 0] * 3 / 4)
    last = 'layer4.1.conv2.weight'
    assert net.cross_encoder.stages[3].body.state_dict()[last].equal(state[last])
    assert not net.sar_encoder.stages[3].body.state_dict()[last].equal(state[last])


def test_torchgeo_weights_by_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = ResNet18_Weights.SENTINEL2_ALL_MOCO
    state = fake_download(monkeypatch, weights)
    stem = create_encoder('resnet18', 4, weights=weights).stages[0].body.conv1.weight
    # blue, green, red, near infrared among Sentinel-2's thirteen bands
    torch.testing.assert_close(stem, state['conv1.weight'][:, [1, 2, 3, 7]] * 13 / 4)
    with pytest.raises(PretrainedWeightsError, match=r'conv1.weight \(64, 13, 7, 7\) instead'):
        create_encoder('resnet18', 2, weights=weights)


def test_torchgeo_has_none_such() -> None:
    assert get_model_weights('resnet18') is ResNet18_Weights
    with pytest.raises(PretrainedWeightsError, match='TorchGeo has none such'):
        create_encoder('resnet18', 4, weights='ResNet18_Weights.BANANA')
