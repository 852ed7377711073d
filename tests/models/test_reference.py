"""Released checkpoints, whole and broken."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from torchgeo_cloudseg.models import (
    CloudSegNet,
    WeightsFileError,
    load_reference_checkpoint,
)
from torchgeo_cloudseg.models.reference import reference_name

#: Of each kind of parameter that gets no gradient, one of the authors' names.
DEAD = (
    'modality1_stream.segmentation_head.0.weight',
    'modality2_stream.segmentation_head.0.bias',
    'modality2_stream.decoder.blocks.0.conv1.0.weight',
    'cross_modality_stream.encoder.patch_embed1.proj.weight',
    'cross_modality_stream.encoder.block1.0.attn.q.weight',
    'cross_modality_stream.encoder.norm1.weight',
    'fuse_block_stage1.cross_modality_msc.conv.0.weight',
    'fuse_block_stage4.modality2_distribute_conv.weight',
)


def released(network: object) -> dict[str, object]:
    return {'network': network, 'optimizer': {}, 'epoch': 30, 'lr_scheduler': {'gamma': 0.5}}


def small(**arguments: object) -> tuple[CloudSegNet, dict[str, Tensor]]:
    """A small network of ours, and what the authors' code would have saved of it."""
    net = CloudSegNet('mit_b0', **arguments)
    state = {f'module.{reference_name(k)}': x for k, x in net.state_dict().items()}
    return net, {**state, **{f'module.{name}': torch.ones(1) for name in DEAD}}


@pytest.mark.slow
@pytest.mark.parametrize(
    'arguments',
    [
        {'num_classes': 11, 'spatial_gate': False, 'reconstruct': False},
        {'num_classes': 11, 'in_channels': (3, 1)},
        {'reconstruct': False},
    ],
)
def test_architecture_follows_from_the_file(arguments: dict[str, object], tmp_path: Path) -> None:
    net, state = small(**arguments)
    torch.save(released(state), tmp_path / 'net.pth')
    loaded = load_reference_checkpoint(str(tmp_path / 'net.pth'))
    assert loaded.config == net.config
    got = loaded.state_dict()
    assert all(got[name].equal(x) for name, x in net.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize('encoder', ['mit_b1'])
def test_encoder_follows_from_the_file(encoder: str, tmp_path: Path) -> None:
    net = CloudSegNet(encoder, reconstruct=False)
    state = {reference_name(k): x for k, x in net.state_dict().items()}
    torch.save(released(state), tmp_path / 'net.pth')
    assert load_reference_checkpoint(tmp_path / 'net.pth').config == net.config


@pytest.mark.parametrize('kind', ['teacher', 'student'])
def test_exactly_the_living_parameters_are_ours(kind: str, golden: Path) -> None:
    recorded = json.loads((golden / f'{kind}_state_dict.json').read_text())
    living = {name for name, _ in recorded['state_dict']} - set(recorded['never_used'])
    # mit_b0 differs from mit_b4 in nothing but the number of blocks
    student = kind == 'student'
    net = CloudSegNet('mit_b0', spatial_gate=student, reconstruct=student)
    ours = {f'module.{reference_name(name)}' for name, _ in net.named_parameters()}
    deeper = {name for name in living if re.search(r'block\d\.([2-9]|\d\d)\.', name)}
    buffers = {name for name in living if re.search(r'running_|num_batches', name)}
    assert ours == living - deeper - buffers


def test_missing_unexpected_and_misshapen_are_listed(tmp_path: Path) -> None:
    _, state = small()
    del state['module.cr_head.1.bias']
    del state['module.cross_modality_stream.encoder.block2.1.mlp.fc1.bias']
    state['module.stranger.weight'] = torch.ones(1)
    state['module.fuse_block_stage2.modality1_msc.conv.0.bias'] = torch.ones(9)
    torch.save(released(state), tmp_path / 'net.pth')
    with pytest.raises(WeightsFileError) as error:
        load_reference_checkpoint(tmp_path / 'net.pth')
    message = str(error.value)
    assert str(tmp_path / 'net.pth') in message
    missing, unexpected, shape = message.split('; ')
    assert 'cr_head.1.bias' in missing
    assert 'cross_modality_stream.encoder.block2.1.mlp.fc1.bias' in missing
    assert unexpected == 'unexpected: stranger.weight'
    assert 'modality1_msc.conv.0.bias (9,) instead of (64,)' in shape
    assert "exactly the student's parameters" in shape


def test_encoder_of_no_known_depth(tmp_path: Path) -> None:
    _, state = small(reconstruct=False)
    state['module.modality1_stream.encoder.block2.7.norm1.weight'] = torch.ones(64)
    torch.save(released(state), tmp_path / 'net.pth')
    with pytest.raises(WeightsFileError, match=r'\[2, 8, 2, 2\] blocks .* mit_b4'):
        load_reference_checkpoint(tmp_path / 'net.pth')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([1, 2], 'found a list'),
        (torch.ones(3), 'found a Tensor'),
        ({'state_dict': {}, 'epoch': 3}, "found a dict of state_dict, epoch.*'network'"),
        (released([1]), 'found a list'),
        (released({}), 'found an empty dict'),
        (released({'a': 1}), 'entries that are no tensors: a'),
        (released({'layer1.weight': torch.ones(2)}), 'layer1.weight, with missing: modality1'),
        (
            released({'modality1_stream.encoder.patch_embed1.proj.weight': torch.ones(2)}),
            "authors' teacher or student",
        ),
    ],
)
def test_files_that_are_something_else(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / 'net.pth')
    with pytest.raises(WeightsFileError, match=message):
        load_reference_checkpoint(tmp_path / 'net.pth')


@pytest.mark.slow
@pytest.mark.parametrize('zipped', [True, False])
def test_truncated_file(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / 'net.pth'
    torch.save(released(small()[1]), path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    for share in (0.0, 0.3, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(WeightsFileError, match='copy or download it again'):
            load_reference_checkpoint(path)


@pytest.mark.slow
def test_old_format(tmp_path: Path) -> None:
    net, state = small()
    torch.save(released(state), tmp_path / 'net.pth', _use_new_zipfile_serialization=False)
    assert load_reference_checkpoint(tmp_path / 'net.pth').config == net.config


def test_text_file(tmp_path: Path) -> None:
    (tmp_path / 'net.pth').write_text('<html>Please log in</html>')
    with pytest.raises(WeightsFileError):
        load_reference_checkpoint(tmp_path / 'net.pth')


class Code:
    """Would make a folder when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.slow
@pytest.mark.parametrize('zipped', [True, False])
def test_code_is_not_run(zipped: bool, tmp_path: Path) -> None:
    torch.save(
        {**released(small()[1]), 'extra': Code(tmp_path / 'harm')},
        tmp_path / 'net.pth',
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(WeightsFileError, match='nothing in it was run') as error:
        load_reference_checkpoint(tmp_path / 'net.pth')
    assert f'({os.mkdir.__module__}.mkdir)' in str(error.value)
    assert 'weights_only' not in str(error.value)
    assert not (tmp_path / 'harm').exists()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'none\.pth'):
        load_reference_checkpoint(tmp_path / 'none.pth')
