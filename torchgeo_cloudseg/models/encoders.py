"""Encoders in four stages, which others can step in between."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from . import mix_transformer, timm_encoder
from .weights import Weights, find_weights, load_encoder_weights

#: What TorchGeo and smp put before timm's names.
TIMM_PREFIX = 'tu-'


class Encoder(nn.Module):
    """An encoder taken apart into its four stages, at strides 4, 8, 16 and 32.

    Attributes:
        stages: four modules, each from maps (B, C, H, W) to maps (B, C', H', W').
        out_channels: channels after each stage.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> stages = [nn.Conv2d(4, 8, 4, 4), *(nn.Conv2d(8, 8, 2, 2) for _ in range(3))]
        >>> encoder = Encoder(stages, out_channels=[8] * 4)
        >>> [tuple(maps.shape[2:]) for maps in encoder(torch.rand(1, 4, 64, 64))]
        [(16, 16), (8, 8), (4, 4), (2, 2)]
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
            x: image of shape (B, C, H, W), sides divisible by 32.

        Returns:
            the maps after each stage.
        """
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def create_encoder(
    name: str,
    in_channels: int,
    weights: Weights = None,
    drop_path: float = 0.1,
    activation_checkpointing: bool = False,
) -> Encoder:
    """Make an encoder.

    Without weights, a Mix Transformer starts as in SegFormer (linear layers from a truncated
    normal of standard deviation 0.02, convolutions from a normal of variance 2 / fan-out, biases
    zero), and a timm encoder as timm makes it.

    Args:
        name: ``mit_b0`` ... ``mit_b5``, or any timm encoder (ConvNeXt, Swin, PVTv2, ResNet, ...)
            with four stages at strides 4, 8, 16 and 32, by timm's name with or without ``tu-``.
        in_channels: channels of the image.
        weights: True for the weights that segmentation-models-pytorch or timm offers (ImageNet),
            TorchGeo's (a ``WeightsEnum`` or its name), the path of a file with a state dict, or
            None.
        drop_path: drop-path probability of the last block while training, growing from 0; for
            encoders that know it.
        activation_checkpointing: compute activations again during the backward pass instead of
            keeping them: per block in a Mix Transformer, per stage in a timm encoder without
            batch norm.

    Returns:
        the encoder.

    Raises:
        ValueError: if there is no encoder of this name, or it cannot be taken apart.
        PretrainedWeightsError: if the weights cannot be had or do not fit.

    Example:
        >>> import torch
        >>> encoder = create_encoder('mit_b0', in_channels=2)
        >>> [tuple(x.shape[1:]) for x in encoder(torch.rand(1, 2, 64, 64))]
        [(32, 16, 16), (64, 8, 8), (160, 4, 4), (256, 2, 2)]
    """
    kind = mix_transformer if name in mix_transformer.MIX_TRANSFORMERS else timm_encoder
    name = name.removeprefix(TIMM_PREFIX)
    net, stages, channels = kind.build(name, in_channels, drop_path, activation_checkpointing)
    if weights:
        found = find_weights(weights, name, kind.imagenet_weights)
        own = kind.own_names(net, found.state_dict)
        load_encoder_weights(net, found._replace(state_dict=own))
    return Encoder(stages, channels)
