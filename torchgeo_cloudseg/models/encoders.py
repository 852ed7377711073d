"""Encoders in four stages, which others can step in between."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from segmentation_models_pytorch.encoders import encoders as smp_encoders
from segmentation_models_pytorch.encoders import get_encoder
from segmentation_models_pytorch.encoders.mix_transformer import MixVisionTransformerEncoder
from torch import Tensor, nn

from torchgeo_cloudseg.models.mix_transformer import MixTransformerStage
from torchgeo_cloudseg.models.state_files import summary
from torchgeo_cloudseg.models.weights import (
    PretrainedWeightsError,
    load_encoder_weights,
    read_encoder_weights,
)

#: Where weights come from: True for ImageNet, a file, None or False for none.
Weights = bool | str | os.PathLike[str] | None

#: The Mix Transformers that segmentation-models-pytorch knows.
MIX_TRANSFORMERS = tuple(name for name in smp_encoders if name.startswith('mit_'))

#: Name of the weight of a Mix Transformer's first convolution.
FIRST_CONV = 'patch_embed1.proj.weight'

#: Beginning of the names of SegFormer's classifier, which some files hold too.
CLASSIFIER = ('head.',)


class Encoder(nn.Module):
    """An encoder taken apart into its four stages, at strides 4, 8, 16 and 32.

    Attributes:
        stages: four modules, each from maps (B, C, H, W) to maps (B, C', H', W').
        out_channels: channels after each stage.
    """

    def __init__(self, stages: Sequence[nn.Module], out_channels: Sequence[int]) -> None:
        """Initialize a new Encoder instance.

        Args:
            stages: the four stages.
            out_channels: channels after each.
        """
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.out_channels = tuple(out_channels)

    def without_first_stage(self) -> Encoder:
        """The same encoder for an input that joins after the first stage.

        Returns:
            an encoder whose first stage does nothing and has no parameters.
        """
        return Encoder((nn.Identity(), *self.stages[1:]), self.out_channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        """All stages in turn.

        Args:
            x: image of shape (B, C, H, W).

        Returns:
            the maps after each stage.
        """
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def create_encoder(
    name: str, in_channels: int, weights: Weights = None, drop_path: float = 0.1
) -> Encoder:
    """Make an encoder.

    Without weights, a Mix Transformer starts as in SegFormer: linear layers from a truncated
    normal of standard deviation 0.02, convolutions from a normal of variance 2 / fan-out, biases
    zero.

    Args:
        name: ``mit_b0`` ... ``mit_b5``.
        in_channels: channels of the image.
        weights: True for ImageNet weights (through segmentation-models-pytorch), the path of a
            file with a state dict, or None.
        drop_path: drop-path probability of the last block; it grows linearly from 0.

    Returns:
        the encoder.

    Raises:
        ValueError: if there is no encoder of this name.
        PretrainedWeightsError: if the weights cannot be had or do not fit.
    """
    if name not in MIX_TRANSFORMERS:
        raise ValueError(f'encoder={name!r}: expected one of {", ".join(MIX_TRANSFORMERS)}')
    spec = smp_encoders[name]
    source: MixVisionTransformerEncoder = spec['encoder'](**spec['params'], in_chans=in_channels)
    if weights:
        state_dict = imagenet_weights(name) if weights is True else read_encoder_weights(weights)
        load_encoder_weights(source, state_dict, str(weights), FIRST_CONV, CLASSIFIER)
    rates = torch.split(torch.linspace(0, drop_path, sum(source.depths)), source.depths)
    stages = [
        MixTransformerStage(
            getattr(source, f'patch_embed{i}'),
            getattr(source, f'block{i}'),
            getattr(source, f'norm{i}'),
            rates[i - 1].tolist(),
        )
        for i in range(1, 5)
    ]
    return Encoder(stages, source.out_channels[2:])


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """Weights of a Mix Transformer trained on ImageNet, by segmentation-models-pytorch's loader.

    Args:
        name: ``mit_b0`` ... ``mit_b5``.

    Returns:
        weights by name, for three channels.

    Raises:
        PretrainedWeightsError: if they can neither be downloaded nor found in the cache.
    """
    try:
        encoder: nn.Module = get_encoder(name, in_channels=3, weights='imagenet')
    except Exception as error:
        raise PretrainedWeightsError(
            f'weights=True: the ImageNet weights of {name} could not be downloaded '
            f'({summary(error)}). Connect to the network once, or give the path '
            'of a local state dict as weights=, or weights=None to start from scratch.'
        ) from error
    return encoder.state_dict()
