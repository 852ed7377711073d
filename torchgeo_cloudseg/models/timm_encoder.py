"""timm's hierarchical encoders, taken apart into four stages."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Any

import timm
import torch
from timm.layers.format import Format
from timm.models import FeatureListNet
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .recomputation import run

logger = logging.getLogger(__name__)

#: Strides of the four stages.
STRIDES = (4, 8, 16, 32)

#: Side in pixels of the image that is sent through a new encoder to see that its stages fit.
TRIAL = 64


class TimmStage(nn.Module):
    """Some of an encoder's modules in turn, from map to map."""

    def __init__(
        self, modules: dict[str, nn.Module], tokens_in: bool, tokens_out: bool, recompute: bool
    ) -> None:
        """Initialize a new TimmStage instance.

        Args:
            modules: the modules by name.
            tokens_in: whether they expect (B, H, W, C) instead of (B, C, H, W).
            tokens_out: whether they return it.
            recompute: compute activations again during the backward pass. A stage with batch norm
                is left alone: its statistics would be counted twice.
        """
        super().__init__()
        self.body = nn.Sequential(OrderedDict(modules))
        self.tokens_in = tokens_in
        self.tokens_out = tokens_out
        norms = [part for part in self.body.modules() if isinstance(part, _BatchNorm)]
        self.recompute = recompute and not norms

    def forward(self, x: Tensor) -> Tensor:
        """Encode.

        Args:
            x: maps of shape (B, C, H, W).

        Returns:
            maps of shape (B, C', H', W').
        """
        if self.tokens_in:
            x = x.permute(0, 2, 3, 1)
        x = run(self.body, x, checkpointing=self.recompute)
        return x.permute(0, 3, 1, 2) if self.tokens_out else x


def build(
    name: str, in_channels: int, drop_path: float, activation_checkpointing: bool
) -> tuple[nn.Module, list[nn.Module], list[int]]:
    """Make a timm encoder and take it apart.

    Args:
        name: timm's name.
        in_channels: channels of the image.
        drop_path: drop-path rate, for encoders that know it.
        activation_checkpointing: see :class:`TimmStage`.

    Returns:
        the encoder, by whose names weights are known; four stages at strides 4, 8, 16 and 32, which
        share its parameters; and the number of channels after each.

    Raises:
        ValueError: if timm does not know the name, or the encoder is not of this kind.
    """
    if not timm.is_model(name):
        similar = timm.list_models(f'*{name.split(".")[0].split("_")[0]}*')[:8]
        hint = f'similar: {", ".join(similar)}' if similar else 'see timm.list_models()'
        raise ValueError(f'encoder={name!r}: neither a Mix Transformer nor known to timm; {hint}')
    net = _create(name, in_channels=in_channels, drop_path=drop_path)
    parts = _modules_in_turn(net)
    if parts is None:
        raise ValueError(
            f'encoder={name!r}: timm does not run it as a list of modules '
            f'({type(net).__name__}), so nothing can step in between its stages. '
            'ConvNeXt, Swin, PVTv2, ResNet, MobileNet and many others can'
        )
    info: Any = net.feature_info
    strides = info.reduction()
    if any(strides.count(stride) != 1 for stride in STRIDES):
        raise ValueError(f'encoder={name!r}: found stages at strides {strides}, expected {STRIDES}')
    layers = zip(_last_modules(net), strides, info.channels(), strict=True)
    channels = {child: width for child, stride, width in layers if stride in STRIDES}
    tokens = getattr(net, 'output_fmt', Format.NCHW) == Format.NHWC
    stages: list[nn.Module] = []
    modules: dict[str, nn.Module] = {}
    for child, module in parts.items():
        modules[child.replace('.', '_')] = module
        if child in channels:
            # images are never tokens
            stages.append(
                TimmStage(modules, tokens and bool(stages), tokens, activation_checkpointing)
            )
            modules = {}
    net.eval()
    _try(name, stages, list(channels.values()), torch.zeros(1, in_channels, TRIAL, TRIAL))
    return net.train(), stages, list(channels.values())


def _modules_in_turn(net: nn.Module) -> dict[str, nn.Module] | None:
    """What timm runs one after the other, by name; None where it does more than that."""
    if isinstance(net, FeatureListNet):
        return dict(net.items())
    if isinstance(net, EfficientNetFeatures | MobileNetV3Features):
        blocks = net.blocks.named_children()
        stem = {child: module for child, module in net.named_children() if child != 'blocks'}
        return stem | {f'blocks.{index}': module for index, module in blocks}
    return None


def _last_modules(net: Any) -> list[str]:
    """Names of the modules after which timm takes a map."""
    return list(getattr(net, 'return_layers', None) or net.feature_info.module_name())


def _create(name: str, in_channels: int, drop_path: float) -> nn.Module:
    """Call timm, without those optional arguments that the encoder does not know."""
    # Swin's windows are made for one size of image unless told otherwise
    options: dict[str, Any] = {'strict_img_size': False, 'drop_path_rate': drop_path}
    while True:
        try:
            net: nn.Module = timm.create_model(
                name, features_only=True, in_chans=in_channels, **options
            )
            return net
        except TypeError as error:
            unknown = [option for option in options if f"'{option}'" in str(error)]
            if not unknown:
                raise
            logger.info('encoder %s has no argument %s', name, unknown)
            options = {key: value for key, value in options.items() if key not in unknown}
        except (AssertionError, RuntimeError, AttributeError) as error:
            raise ValueError(
                f'encoder={name!r}: timm cannot make a feature extractor of it ({error})'
            ) from error


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """Weights that timm offers for an encoder.

    Args:
        name: timm's name, with or without the tag of the weights.

    Returns:
        weights by the names of timm's list of modules, for three channels.
    """
    net: nn.Module = timm.create_model(name, features_only=True, pretrained=True)
    return net.state_dict()


def own_names(net: nn.Module, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a whole timm model, whose stages lie one level deeper.

    Args:
        net: the encoder.
        state_dict: weights by the names of the whole model (``stages.0.x``), or already by the
            encoder's own (``stages_0.x``).

    Returns:
        weights by the encoder's own names; what lies behind its last stage (the classifier) is
        left out.
    """
    renamed = {}
    children = dict(net.named_children())
    for name, x in state_dict.items():
        for own in (name, name.replace('.', '_', 1)):
            if own.split('.')[0] in children:
                renamed[own] = x
    return renamed


@torch.no_grad()
def _try(name: str, stages: list[nn.Module], channels: list[int], x: Tensor) -> None:
    """Send an image through."""
    for stage, width, stride in zip(stages, channels, STRIDES, strict=True):
        expected = (1, width, TRIAL // stride, TRIAL // stride)
        try:
            x = stage(x)
        except (RuntimeError, ValueError, TypeError, AssertionError, LookupError) as error:
            raise ValueError(
                f'encoder={name!r}: its stage at stride {stride} does not run on an image of '
                f'{TRIAL} px ({type(error).__name__}: {error})'
            ) from error
        if x.shape != expected:
            raise ValueError(
                f'encoder={name!r}: its stage at stride {stride} returned {tuple(x.shape)}, '
                f'expected {expected}'
            )
