"""Networks with a single encoder, for comparison."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from torchgeo_cloudseg.models import CloudSegNet, Modalities


@pytest.fixture
def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.rand(2, 4, 70, 64, generator=generator),
        torch.rand(2, 2, 70, 64, generator=generator),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ('modalities', 'optical_counts', 'sar_counts'),
    [('optical', True, False), ('sar', False, True), ('early', True, True), ('both', True, True)],
)
def test_network_looks_at_what_it_is_said_to(
    modalities: Modalities, optical_counts: bool, sar_counts: bool, images: tuple[Tensor, Tensor]
) -> None:
    torch.manual_seed(0)
    network = CloudSegNet('mit_b0', modalities=modalities, reconstruct=modalities != 'sar').eval()
    optical, sar = images
    with torch.no_grad():
        output = network(optical, sar, (21, 20))
        without_optical = network(0 * optical, sar, (21, 20)).logits
        without_sar = network(optical, 0 * sar, (21, 20)).logits
    assert output.logits.shape == (2, 6, 21, 20)
    assert output.features.shape == (2, 16, 70, 64)
    assert (not torch.equal(output.logits, without_optical)) == optical_counts
    assert (not torch.equal(output.logits, without_sar)) == sar_counts
    assert (output.reconstruction is None) == (modalities == 'sar')


@pytest.mark.parametrize('modalities', ['optical', 'sar', 'early'])
def test_every_parameter_learns(modalities: Modalities, images: tuple[Tensor, Tensor]) -> None:
    network = CloudSegNet('mit_b0', modalities=modalities, reconstruct=modalities != 'sar')
    output = network(*images)
    loss = output.logits.square().mean()
    if output.reconstruction is not None:
        loss = loss + output.reconstruction.square().mean()
    loss.backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    assert not network.config.spatial_gate


def test_choices() -> None:
    with pytest.raises(ValueError, match='reconstruct=False'):
        CloudSegNet('mit_b0', modalities='sar')
    with pytest.raises(ValueError, match='expected one of'):
        CloudSegNet('mit_b0', modalities='late')  # type: ignore[arg-type]
