"""The network: sizes, gradients, arguments (golden numbers: test_golden.py)."""

from __future__ import annotations

import pickle
from dataclasses import asdict
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_cloudseg.models import CloudSegConfig, CloudSegNet, Network
from torchgeo_cloudseg.trainers.checkpoint import build_network


@pytest.fixture(scope='module')
def student() -> CloudSegNet:
    torch.manual_seed(0)
    return CloudSegNet('mit_b0').eval()


def test_without_reconstruction_the_rest_is_the_same(student: CloudSegNet) -> None:
    optical, sar = torch.rand(1, 4, 64, 64), torch.rand(1, 2, 64, 64)
    with torch.no_grad():
        whole, part = student(optical, sar), student(optical, sar, reconstruct=False)
    assert part.reconstruction is None
    assert part.logits.equal(whole.logits)
    assert part.features.equal(whole.features)


@given(st.integers(1, 100), st.integers(1, 100))
def test_any_size(student: CloudSegNet, height: int, width: int) -> None:
    with torch.no_grad():
        out = student(torch.rand(1, 4, height, width), torch.rand(1, 2, height, width))
    assert out.logits.shape == (1, 6, height, width)
    assert out.features.shape == (1, 16, height, width)
    assert out.reconstruction.shape == (1, 4, height, width)
    assert all(x.isfinite().all() for x in out[:3])


def test_other_sizes_are_padded_by_the_edge(student: CloudSegNet) -> None:
    optical, sar = torch.rand(1, 4, 64, 96), torch.rand(1, 2, 64, 96)
    for x in (optical, sar):
        x[..., 50:, :] = x[..., 49:50, :]
        x[..., :, 90:] = x[..., :, 89:90]
    with torch.no_grad():
        whole = student(optical, sar)
        part = student(optical[..., :50, :90], sar[..., :50, :90])
    for a, b in zip(whole[:3], part[:3], strict=True):
        torch.testing.assert_close(a[..., :50, :90], b)


def test_logits_on_the_label_grid(student: CloudSegNet) -> None:
    optical, sar = torch.rand(2, 4, 64, 64), torch.rand(2, 2, 64, 64)
    with torch.no_grad():
        full, small = student(optical, sar), student(optical, sar, output_size=(19, 20))
    expected = torch.nn.functional.interpolate(full.logits, (19, 20), mode='bilinear')
    torch.testing.assert_close(small.logits, expected)
    assert small.features.equal(full.features)


@pytest.mark.slow
@pytest.mark.parametrize('spatial_gate', [False, True])
@pytest.mark.parametrize('reconstruct', [False, True])
def test_every_parameter_learns(spatial_gate: bool, reconstruct: bool) -> None:
    torch.manual_seed(0)
    net = CloudSegNet('mit_b0', spatial_gate=spatial_gate, reconstruct=reconstruct, drop_path=0.0)
    out = net(torch.rand(2, 4, 64, 64), torch.rand(2, 2, 64, 64))
    loss = out.logits.square().mean()
    if reconstruct:
        loss = loss + out.reconstruction.square().mean()
    loss.backward()
    assert [name for name, x in net.named_parameters() if x.grad is None] == []
    # a gradient that is zero to the last bit would be as dead as none
    zero = [name for name, x in net.named_parameters() if not x.grad.any()]
    assert zero == []


def test_optical_image_reaches_features_only_through_the_network(student: CloudSegNet) -> None:
    optical = torch.rand(1, 4, 64, 64, requires_grad=True)
    sar = torch.rand(1, 2, 64, 64, requires_grad=True)
    out = student(optical, sar)
    for x in out[:3]:
        gradients = torch.autograd.grad(x.sum(), (optical, sar), retain_graph=True)
        assert all(g.any() for g in gradients)


def test_samples_do_not_see_each_other(student: CloudSegNet) -> None:
    optical, sar = torch.rand(3, 4, 64, 64), torch.rand(3, 2, 64, 64)
    with torch.no_grad():
        together = student(optical, sar)
        alone = student(optical[1:2], sar[1:2])
    for a, b in zip(together[:3], alone[:3], strict=True):
        torch.testing.assert_close(a[1:2], b, atol=1e-4, rtol=1e-4)


def test_config_rebuilds_the_architecture() -> None:
    net = CloudSegNet('mit_b0', (3, 1), num_classes=8, spatial_gate=False, reconstruct=True)
    assert net.config == CloudSegConfig('mit_b0', (3, 1), 8, False, True)
    twin = CloudSegNet(**asdict(net.config))
    twin.load_state_dict(net.state_dict())
    assert pickle.loads(pickle.dumps(net.config)) == twin.config


def test_config_from_yaml_lists() -> None:
    assert CloudSegNet('mit_b0', [4, 2]).config == CloudSegNet('mit_b0', (4, 2)).config


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'in_channels': (4, 0)}, 'in_channels='),
        ({'in_channels': (4,)}, 'in_channels='),
        ({'in_channels': 4}, 'in_channels=4'),
        ({'num_classes': 0}, 'num_classes=0'),
    ],
)
def test_senseless_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CloudSegNet('mit_b0', **arguments)


@pytest.mark.parametrize(
    ('optical', 'sar', 'message'),
    [
        ((1, 3, 64, 64), (1, 2, 64, 64), r'optical: found shape \(1, 3, 64, 64\)'),
        ((1, 4, 64, 64), (1, 1, 64, 64), r'sar: found .* expected \(B, 2, H, W\)'),
        ((4, 64, 64), (2, 64, 64), 'optical: found shape'),
        ((1, 4, 64, 64), (1, 2, 32, 64), 'one batch on one grid'),
        ((1, 4, 64, 64), (2, 2, 64, 64), 'one batch on one grid'),
    ],
)
def test_shapes_that_do_not_fit(
    student: CloudSegNet, optical: tuple[int, ...], sar: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        student(torch.rand(optical), torch.rand(sar))


def test_reconstruction_from_a_teacher() -> None:
    teacher = CloudSegNet('mit_b0', spatial_gate=False, reconstruct=False)
    with pytest.raises(ValueError, match='no reconstruction branch'):
        teacher(torch.rand(1, 4, 64, 64), torch.rand(1, 2, 64, 64), reconstruct=True)


@pytest.mark.slow
@pytest.mark.parametrize('architecture', ['cloudseg', 'lite'])
def test_residual_reconstruction_starts_from_the_image(architecture: str) -> None:
    encoder = {'cloudseg': 'mit_b0', 'lite': 'mobilenetv4_conv_small'}[architecture]
    kind = partial(Network.find(architecture), encoder)
    optical, sar = torch.rand(1, 4, 64, 70), torch.rand(1, 2, 64, 70)
    net = kind(reconstruct=True, residual=True, spatial_gate=False).eval()
    assert torch.equal(net(optical, sar).reconstruction, optical)
    (net(optical, sar).reconstruction - 0.5).square().mean().backward()
    last = [x for name, x in net.named_parameters() if name.startswith('reconstruction')][-2]
    assert last.grad.abs().sum() > 0
    # without the branch, it is no other architecture
    configs = [kind(reconstruct=False, residual=residual).config for residual in (True, False)]
    assert configs[0] == configs[1]
    arguments = {'backbone': encoder, 'in_channels': (4, 2), 'num_classes': 6, 'residual': True}
    arguments['architecture'] = architecture
    assert build_network({**arguments, 'reconstruction_weight': 1.0}).config.residual
