"""Checkpoints of the authors' released code, as a :class:`CloudSegNet`.

A released file is ``{'network': state dict, 'optimizer': ..., 'epoch': ..., 'lr_scheduler': ...}``;
names begin with ``module.`` (DataParallel), and parameters that never learn are in it too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from segmentation_models_pytorch.encoders import encoders as smp_encoders
from torch import Tensor

from .cloudsegnet import CloudSegNet
from .mix_transformer import MIX_TRANSFORMERS
from .weights import WeightsFileError, as_state_dict, listing, misfits, read_weights

#: Key of a released file under which the state dict lies.
NETWORK = 'network'

#: What DataParallel puts before every name.
DATA_PARALLEL = 'module.'

#: How our names begin, and how the authors' do.
BEGINNINGS = {
    'optical_encoder.': 'modality1_stream.encoder.',
    'sar_encoder.': 'modality2_stream.encoder.',
    'cross_encoder.': 'cross_modality_stream.encoder.',
    'decoder.': 'cross_modality_stream.decoder.',
    'head.': 'cross_modality_stream.segmentation_head.0.',
    'reconstruction.decoder.': 'modality1_stream.decoder.',
    'reconstruction.head.': 'cr_head.',
    **{f'fusions.{i}.': f'fuse_block_stage{i + 1}.' for i in range(4)},
}

#: Parts inside our names, and the authors'.
PARTS = {
    **{f'.stages.{i}.patch_embed.': f'.patch_embed{i + 1}.' for i in range(4)},
    **{f'.stages.{i}.blocks.': f'.block{i + 1}.' for i in range(4)},
    **{f'.stages.{i}.norm.': f'.norm{i + 1}.' for i in range(4)},
    '.mlp.dwconv.': '.mlp.dwconv.dwconv.',
    '.optical_scales.conv.': '.modality1_msc.conv.0.',
    '.sar_scales.conv.': '.modality2_msc.conv.0.',
    '.cross_scales.conv.': '.cross_modality_msc.conv.0.',
    '.gate.': '.spatial_attn_block.spatial.',
    '.mix.squeeze.': '.update_cross_modality_block.excitation.0.',
    '.mix.excite.': '.update_cross_modality_block.excitation.2.',
    '.to_optical.conv.': '.modality1_distribute_conv.',
    '.to_sar.conv.': '.modality2_distribute_conv.',
}

#: The authors' names of parameters that get no gradient, in the teacher or in both networks.
DEAD = re.compile(
    r'modality[12]_stream\.(segmentation_head|decoder)\.'
    r'|cross_modality_stream\.encoder\.(patch_embed|block|norm)1\.'
    r'|fuse_block_stage1\.cross_modality_msc\.'
    r'|fuse_block_stage4\.modality[12]_distribute_conv\.'
)

#: The authors' names of the weights that tell the numbers of channels and classes.
OPTICAL_STEM = 'modality1_stream.encoder.patch_embed1.proj.weight'
SAR_STEM = 'modality2_stream.encoder.patch_embed1.proj.weight'
CLASSIFIER = 'cross_modality_stream.segmentation_head.0.weight'


def reference_name(name: str) -> str:
    """The authors' name of a parameter or buffer.

    Args:
        name: our name, as in ``CloudSegNet(...).state_dict()``.

    Returns:
        their name, without ``module.``.
    """
    beginning = next(ours for ours in BEGINNINGS if name.startswith(ours))
    name = BEGINNINGS[beginning] + name.removeprefix(beginning)
    for ours, theirs in PARTS.items():
        name = name.replace(ours, theirs)
    return name


def load_reference_checkpoint(path: str | os.PathLike[str]) -> CloudSegNet:
    """Read a checkpoint that the authors' code has written.

    Nothing in the file is run. Teacher or student, encoder, channels and number of classes
    follow from the names and shapes in it; parameters that never learn are left behind.

    Args:
        path: ``TeacherNet.pth`` or ``StudentNet.pth``.

    Returns:
        the network, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: if there is no such file.
        WeightsFileError: if it is damaged, is no such checkpoint, or if anything in it is
            missing, unexpected or of another shape; the message lists what.

    Example:
        >>> network = load_reference_checkpoint('StudentNet.pth')  # doctest: +SKIP
        >>> network.config.encoder  # doctest: +SKIP
        'mit_b4'
    """
    content = read_weights(path)
    if not isinstance(content, Mapping):
        raise WeightsFileError(path, f'a {type(content).__name__}', f'a dict with {NETWORK!r}')
    if NETWORK not in content:
        keys = listing([str(key) for key in content])
        raise WeightsFileError(path, f'a dict of {keys}', f'a dict with {NETWORK!r}')
    state_dict = {
        name.removeprefix(DATA_PARALLEL): x
        for name, x in as_state_dict(content[NETWORK], path).items()
    }
    model = _network(state_dict, path)
    own = {reference_name(name): x for name, x in model.state_dict().items()}
    living = {name: x for name, x in state_dict.items() if name in own or not DEAD.match(name)}
    if problems := misfits(own, living):
        kind = 'student' if model.config.reconstruct else 'teacher'
        raise WeightsFileError(
            path, f'a state dict with parameters {problems}', f"exactly the {kind}'s parameters"
        )
    model.load_state_dict({name: state_dict[reference_name(name)] for name in model.state_dict()})
    return model.eval()


def _network(state_dict: Mapping[str, Tensor], path: str | os.PathLike[str]) -> CloudSegNet:
    """Tell the architecture from the authors' names and shapes, and build it."""
    telling = [OPTICAL_STEM, SAR_STEM, CLASSIFIER]
    missing = [name for name in telling if name not in state_dict or state_dict[name].ndim != 4]
    if missing:
        raise WeightsFileError(
            path,
            f'a state dict of {listing(list(state_dict), 5)}, with missing: {", ".join(missing)}',
            "the state dict of the authors' teacher or student",
        )
    return CloudSegNet(
        encoder=_encoder(state_dict, path),
        in_channels=(state_dict[OPTICAL_STEM].shape[1], state_dict[SAR_STEM].shape[1]),
        num_classes=state_dict[CLASSIFIER].shape[0],
        spatial_gate=any('.spatial_attn_block.' in name for name in state_dict),
        reconstruct=any(name.startswith('cr_head.') for name in state_dict),
    )


def _encoder(state_dict: Mapping[str, Tensor], path: str | os.PathLike[str]) -> str:
    """Tell the Mix Transformer from the number of its blocks and its width."""
    depths = [0, 0, 0, 0]
    for name in state_dict:
        if match := re.match(r'\w+_stream\.encoder\.block([1-4])\.(\d+)\.', name):
            stage, block = int(match[1]) - 1, int(match[2])
            depths[stage] = max(depths[stage], block + 1)
    params: dict[str, Any] = {name: smp_encoders[name]['params'] for name in MIX_TRANSFORMERS}
    shapes = {name: (known['depths'], known['embed_dims'][0]) for name, known in params.items()}
    found = depths, state_dict[OPTICAL_STEM].shape[0]
    if found not in shapes.values():
        raise WeightsFileError(
            path,
            f'an encoder with {found[0]} blocks and {found[1]} channels in its first stage',
            'one of ' + '; '.join(f'{name}: {shape}' for name, shape in shapes.items()),
        )
    return next(name for name, shape in shapes.items() if shape == found)
