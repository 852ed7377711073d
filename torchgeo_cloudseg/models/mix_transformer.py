"""Stages of smp's Mix Transformer, with the same parameters and a leaner forward pass.

The modules of :mod:`segmentation_models_pytorch` are taken over one by one, so pretrained weights
load through smp. Between two stages, tokens stay in one layout (B, N, C): the memory of a
channels-last map, so the depthwise convolutions need no copy. Attention is PyTorch's fused
:func:`~torch.nn.functional.scaled_dot_product_attention`.

Source: SegFormer (Xie et al., 2021).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.encoders import encoders as smp_encoders
from segmentation_models_pytorch.encoders import get_encoder
from segmentation_models_pytorch.encoders import mix_transformer as smp_mit
from torch import Tensor, nn

from .recomputation import run

#: The Mix Transformers that segmentation-models-pytorch knows.
MIX_TRANSFORMERS = tuple(name for name in smp_encoders if name.startswith('mit_'))

#: Beginning of the names of SegFormer's classifier, which some files hold too.
CLASSIFIER = 'head.'


def to_map(tokens: Tensor, height: int, width: int) -> Tensor:
    """Tokens (B, H * W, C) as a channels-last map (B, C, H, W), without a copy."""
    return torch.unflatten(tokens.transpose(1, 2), 2, (height, width))


def to_tokens(x: Tensor) -> Tensor:
    """A map (B, C, H, W) as tokens (B, H * W, C), without a copy where it is channels-last."""
    return x.flatten(2).transpose(1, 2)


class PatchConv(nn.Module):
    """A convolution over patches that neither overlap nor leave gaps: one matrix product.

    With channels-last weights, no weight is copied, forward or backward.
    """

    def __init__(self, source: nn.Conv2d) -> None:
        """Initialize a new PatchConv instance.

        Args:
            source: convolution whose stride is its kernel size, and whose parameters to take over.
        """
        super().__init__()
        self.size = source.kernel_size[0]
        self.weight = source.weight
        self.bias = source.bias

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Convolve.

        Args:
            x: tokens of shape (B, H * W, C).
            height: height H of the map, divisible by the kernel size r.
            width: width W of the map, divisible by r.

        Returns:
            tokens of shape (B, H / r * W / r, C').
        """
        r = self.size
        patches = torch.unflatten(x, 1, (height // r, r, width // r, r)).transpose(2, 3)
        matrix = self.weight.permute(0, 2, 3, 1).flatten(1)
        return F.linear(patches.flatten(3).flatten(1, 2), matrix, self.bias)


class Attention(nn.Module):
    """Efficient self-attention: queries everywhere, keys and values on a reduced grid."""

    def __init__(self, source: smp_mit.Attention) -> None:
        """Initialize a new Attention instance.

        Args:
            source: the module whose parameters to take over.
        """
        super().__init__()
        self.num_heads = source.num_heads
        self.scale = source.scale
        self.q = source.q
        self.kv = source.kv
        self.proj = source.proj
        self.sr = PatchConv(source.sr) if source.sr_ratio > 1 else None
        self.norm = source.norm if source.sr_ratio > 1 else None

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Attend.

        Args:
            x: tokens of shape (B, H * W, C).
            height: height H of the map.
            width: width W of the map.

        Returns:
            tokens of shape (B, H * W, C).
        """
        reduced = x
        if self.sr is not None and self.norm is not None:
            reduced = self.norm(self.sr(x, height, width))
        q = torch.unflatten(self.q(x), 2, (self.num_heads, -1)).transpose(1, 2)
        kv = torch.unflatten(self.kv(reduced), 2, (2, self.num_heads, -1))
        k, v = kv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        out: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    """Two linear layers around a depthwise 3x3 convolution, which tells tokens where they are."""

    def __init__(self, source: smp_mit.Mlp) -> None:
        """Initialize a new Mlp instance.

        Args:
            source: the module whose parameters to take over.
        """
        super().__init__()
        self.fc1 = source.fc1
        self.dwconv = source.dwconv.dwconv
        self.fc2 = source.fc2

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Transform.

        Args:
            x: tokens of shape (B, H * W, C).
            height: height H of the map.
            width: width W of the map.

        Returns:
            tokens of shape (B, H * W, C).
        """
        mixed = to_tokens(self.dwconv(to_map(self.fc1(x), height, width)))
        out: Tensor = self.fc2(F.gelu(mixed))
        return out


class Block(nn.Module):
    """Attention and MLP, each after a layer norm and around a residual."""

    def __init__(self, source: smp_mit.Block) -> None:
        """Initialize a new Block instance.

        Args:
            source: the module whose parameters and drop path to take over.
        """
        super().__init__()
        self.norm1 = source.norm1
        self.attn = Attention(source.attn)
        self.norm2 = source.norm2
        self.mlp = Mlp(source.mlp)
        self.drop_path = source.drop_path

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Transform.

        Args:
            x: tokens of shape (B, H * W, C).
            height: height H of the map.
            width: width W of the map.

        Returns:
            tokens of shape (B, H * W, C).
        """
        x = x + self.drop_path(self.attn(self.norm1(x), height, width))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x), height, width))
        return out


class MixTransformerStage(nn.Module):
    """One stage: overlapping patch embedding, blocks, layer norm."""

    def __init__(
        self,
        patch_embed: smp_mit.OverlapPatchEmbed,
        blocks: nn.Sequential,
        norm: nn.LayerNorm,
        activation_checkpointing: bool,
    ) -> None:
        """Initialize a new MixTransformerStage instance.

        Args:
            patch_embed: smp's patch embedding.
            blocks: smp's blocks.
            norm: layer norm at the end of the stage.
            activation_checkpointing: of each block keep only the input, and compute the rest
                again during the backward pass.
        """
        super().__init__()
        self.patch_embed = nn.ModuleDict({'proj': patch_embed.proj, 'norm': patch_embed.norm})
        self.blocks = nn.ModuleList(Block(block) for block in blocks)
        self.norm = norm
        self.activation_checkpointing = activation_checkpointing

    def forward(self, x: Tensor) -> Tensor:
        """Encode.

        Args:
            x: maps of shape (B, C, H, W).

        Returns:
            maps of shape (B, C', H / 4, W / 4) in the first stage, (B, C', H / 2, W / 2) later.
        """
        x = self.patch_embed['proj'](x)
        height, width = x.shape[-2:]
        x = self.patch_embed['norm'](to_tokens(x))
        for block in self.blocks:
            x = run(block, x, height, width, checkpointing=self.activation_checkpointing)
        return to_map(self.norm(x), height, width)


def build(
    name: str, in_channels: int, drop_path: float, activation_checkpointing: bool
) -> tuple[nn.Module, list[nn.Module], list[int]]:
    """Make smp's encoder and take it apart.

    Args:
        name: ``mit_b0`` ... ``mit_b5``.
        in_channels: channels of the image.
        drop_path: drop-path probability of the last block; it grows linearly from 0.
        activation_checkpointing: see :class:`MixTransformerStage`.

    Returns:
        the encoder, by whose names weights are known; four stages, which share its parameters; and
        the number of channels after each.
    """
    spec = smp_encoders[name]
    params = {**spec['params'], 'drop_path_rate': drop_path, 'in_chans': in_channels}
    source: smp_mit.MixVisionTransformerEncoder = spec['encoder'](**params)
    stages: list[nn.Module] = [
        MixTransformerStage(
            getattr(source, f'patch_embed{i}'),
            getattr(source, f'block{i}'),
            getattr(source, f'norm{i}'),
            activation_checkpointing,
        )
        for i in range(1, 5)
    ]
    return source, stages, source.out_channels[2:]


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """Weights that smp offers for an encoder.

    Args:
        name: ``mit_b0`` ... ``mit_b5``.

    Returns:
        weights by smp's names, for three channels.
    """
    encoder: nn.Module = get_encoder(name, in_channels=3, weights='imagenet')
    return encoder.state_dict()


def own_names(_: nn.Module, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave the classifier out.

    Args:
        state_dict: weights of the whole SegFormer, or of the encoder.

    Returns:
        the encoder's.
    """
    return {name: x for name, x in state_dict.items() if not name.startswith(CLASSIFIER)}
