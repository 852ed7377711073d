"""Networks read from files in the released format, against the authors' recorded outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from torchgeo_cloudseg.models import (
    CloudSegConfig,
    CloudSegNet,
    CloudSegOutput,
    load_reference_checkpoint,
)

# networks of the published size
pytestmark = pytest.mark.slow

CONFIGS = {
    'teacher': CloudSegConfig('mit_b4', (4, 2), 6, spatial_gate=False, reconstruct=False),
    'student': CloudSegConfig('mit_b4', (4, 2), 6, spatial_gate=True, reconstruct=True),
}

#: Parameters of the authors' networks, less those that never learn.
PARAMETERS = {'teacher': 203_203_762 - 12_249_228, 'student': 203_215_750 - 6_608_844}


@pytest.fixture(scope='module', params=['teacher', 'student'])
def kind_and_network(
    request: pytest.FixtureRequest,
    released_network: Callable[[str], dict[str, Tensor]],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, CloudSegNet]:
    path = tmp_path_factory.mktemp('released') / f'{request.param}.pth'
    torch.save({'network': released_network(request.param), 'optimizer': {}, 'epoch': 1}, path)
    net = load_reference_checkpoint(path)
    path.unlink()
    return request.param, net


@pytest.fixture(scope='module')
def output(
    kind_and_network: tuple[str, CloudSegNet], golden_inputs: tuple[Tensor, Tensor]
) -> CloudSegOutput:
    with torch.no_grad():
        return kind_and_network[1](*golden_inputs)


def test_architecture(kind_and_network: tuple[str, CloudSegNet]) -> None:
    kind, net = kind_and_network
    assert net.config == CONFIGS[kind]
    assert sum(x.numel() for x in net.parameters()) == PARAMETERS[kind]


def test_outputs(
    kind_and_network: tuple[str, CloudSegNet],
    output: CloudSegOutput,
    golden_inputs: tuple[Tensor, Tensor],
    golden: Path,
) -> None:
    kind, net = kind_and_network
    with torch.no_grad():
        labels = net(*golden_inputs, output_size=(48, 48), reconstruct=False)
    assert labels.reconstruction is None
    got = {
        'logits': labels.logits,
        'features': output.features[..., ::4, ::4],
        'logits_full': output.logits[..., ::2, ::2],
        'reconstruction': output.reconstruction,
    }
    with np.load(golden / 'forward.npz', allow_pickle=False) as file:
        recorded = {k.removeprefix(f'{kind}_'): file[k] for k in file if k.startswith(kind)}
    assert len(recorded) == {'teacher': 2, 'student': 4}[kind]
    for what, expected in recorded.items():
        error = np.abs(got[what].numpy() - expected)
        assert (error <= 1e-4 * expected.std() + 1e-3 * np.abs(expected)).all(), what
