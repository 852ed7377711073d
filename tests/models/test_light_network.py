"""The light network: what its gate, its missing images and its outputs promise."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor

from torchgeo_cloudseg.models import CloudSegLite, Modalities, Network, create_encoder

SIZE = (70, 64)


@pytest.fixture
def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.rand(2, 4, *SIZE, generator=generator),
        torch.rand(2, 2, *SIZE, generator=generator),
    )


def network(**arguments: object) -> CloudSegLite:
    torch.manual_seed(0)
    return CloudSegLite(**arguments).eval()  # type: ignore[arg-type]  # arguments of any type


@torch.no_grad()
def test_outputs_and_size(images: tuple[Tensor, Tensor]) -> None:
    net = network(reconstruct=True)
    output = net(*images, output_size=(21, 20))
    assert sum(p.numel() for p in net.parameters()) <= 10_000_000
    assert output.logits.shape == (2, 6, 21, 20)
    assert getattr(output.reconstruction, 'shape', None) == images[0].shape
    assert output.opacity is not None
    assert output.opacity.shape == (2, 1, *SIZE)
    assert output.opacity.min() >= 0
    assert output.opacity.max() <= 1
    assert net(*images, reconstruct=False).reconstruction is None
    assert isinstance(net.rebuilt(reconstruct=False), CloudSegLite)
    with pytest.raises(ValueError, match='no reconstruction branch'):
        network()(*images, reconstruct=True)


@torch.no_grad()
def test_opaque_clouds_close_the_optical_stream(images: tuple[Tensor, Tensor]) -> None:
    net = network(reconstruct=True, residual=True)
    optical, sar = images
    assert net.opacity is not None
    last = net.opacity[1]
    last.weight.zero_()
    last.bias.fill_(0.0)  # type: ignore[union-attr]  # it has one: an opacity of 0.5 everywhere
    closed = net(optical, sar)
    other = net(1 - optical, sar)
    torch.testing.assert_close(other.logits, closed.logits)
    # nothing of the clouds is left in what is reconstructed
    torch.testing.assert_close(other.reconstruction, closed.reconstruction)
    assert not torch.allclose(net(optical, 1 - sar).logits, closed.logits)
    # an image that is not there is as one that clouds hide
    torch.testing.assert_close(net(0 * optical, sar).logits, closed.logits)
    last.bias.fill_(-100.0)  # type: ignore[union-attr]  # it has one: clear everywhere
    clear = net(optical, sar)
    assert not torch.allclose(net(1 - optical, sar).logits, clear.logits)
    assert torch.equal(clear.reconstruction, optical)


@torch.no_grad()
def test_images_without_data_weigh_nothing(images: tuple[Tensor, Tensor]) -> None:
    net = network(spatial_gate=False)
    optical, sar = images
    optical = optical.clone()
    optical[..., :32] = 0
    maps = [stream(image) for stream, image in zip(net.streams, (optical, sar), strict=True)]
    weights, opacity = net.weigh((optical, sar), maps)
    assert opacity is None
    assert weights[0][..., :8].max() == 0
    assert weights[0][..., 8:].min() == 1
    assert weights[1].min() == 1
    for missing in ((0 * optical, sar), (optical, 0 * sar), (0 * optical, 0 * sar)):
        assert net(*missing).logits.isfinite().all()


@pytest.mark.parametrize('modalities', ['both', 'optical', 'sar', 'early'])
def test_every_parameter_learns(modalities: Modalities, images: tuple[Tensor, Tensor]) -> None:
    net = network(modalities=modalities, reconstruct=modalities != 'sar').train()
    output = net(*images)
    total = output.logits.square().mean()
    for extra in (output.reconstruction, output.opacity):
        total = total if extra is None else total + extra.square().mean()
    total.backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []
    assert (output.opacity is not None) == (modalities == 'both') == net.config.spatial_gate


def test_architecture_is_found_by_name() -> None:
    assert Network.find('lite') is CloudSegLite
    with pytest.raises(ValueError, match=r"architecture='heavy': must be one of \['cloudseg'"):
        Network.find('heavy')


@torch.no_grad()
def test_stages_of_mobile_networks_are_those_of_timm() -> None:
    whole = timm.create_model('mobilenetv4_conv_small').eval()
    encoder = create_encoder('mobilenetv4_conv_small', 3).eval()
    own = timm.create_model('mobilenetv4_conv_small', features_only=True).eval()
    own.load_state_dict(whole.state_dict(), strict=False)
    names = dict(zip(encoder.state_dict(), own.state_dict().values(), strict=True))
    encoder.load_state_dict(names)
    image = torch.rand(1, 3, 64, 64)
    for found, expected in zip(encoder(image), own(image)[1:], strict=True):
        torch.testing.assert_close(found, expected)
