"""Fusion of an optical, a SAR and a cross-modal feature map after one encoder stage.

Source: CloudSeg (Xu et al., 2024), the fusion block of its multi-modal trunk.

Another block is a subclass of :class:`Fusion` with a name of its own::

    class Sum(Fusion, name='sum'):
        def __init__(self, channels, cross=True, update_optical=True, update_sar=True): ...
        def forward(self, optical, sar, cross=None): ...

and ``CloudSegNet(fusion='sum')``, or ``fusion=Sum``. From a configuration file,
``fusion: my_package.my_module.Sum`` imports the module, too.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import statically_known_true

from .registry import Registered

#: The hidden layer of the squeeze-excitation is this much narrower than its input.
REDUCTION = 16


def halve(x: Tensor) -> Tensor:
    """2x2 max pooling that leaves a side of one pixel as it is.

    Args:
        x: maps of shape (B, C, H, W).

    Returns:
        maps of shape (B, C, max(H // 2, 1), max(W // 2, 1)).
    """
    height, width = x.shape[-2:]
    # torch.export records one graph for maps of all sizes: no branch on what it does not know
    if not (statically_known_true(height >= 2) and statically_known_true(width >= 2)):
        padding: Any = (0, torch.sym_max(2 - width, 0), 0, torch.sym_max(2 - height, 0))
        x = F.pad(x, padding, value=-math.inf)
    return F.max_pool2d(x, 2)


class MultiScale(nn.Module):
    """A map seen at three scales: itself, and max-pooled two and four times.

    The pooled maps are resized back by nearest neighbor and all three are mixed by one 1x1
    convolution 3C -> C and a ReLU. A 1x1 convolution and nearest-neighbor resizing commute, so
    each scale is mixed at its own size and only the sum is made at full size: the same result
    with less than half the work, and without the concatenated map.
    """

    def __init__(self, channels: int) -> None:
        """Initialize a new MultiScale instance.

        Args:
            channels: channels C of the map.
        """
        super().__init__()
        self.channels = channels
        self.conv = nn.Conv2d(3 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the scales.

        Args:
            x: maps of shape (B, C, H, W), of any size from one pixel.

        Returns:
            maps of shape (B, C, H, W), not negative.
        """
        size = x.shape[-2:]
        whole, half, quarter = torch.split(self.conv.weight, self.channels, dim=1)
        x2 = halve(x)
        # two halvings are one pooling over 4x4 whenever the map has four pixels a side
        x4 = halve(x2)
        mixed = F.conv2d(x, whole, self.conv.bias)
        mixed = mixed + F.interpolate(F.conv2d(x2, half), size=size, mode='nearest')
        mixed = mixed + F.interpolate(F.conv2d(x4, quarter), size=size, mode='nearest')
        return F.relu(mixed, inplace=True)


class SpatialGate(nn.Module):
    """How far each optical pixel is to be trusted, from its disagreement with SAR.

    sigmoid(BN(conv7x7([max over channels, mean over channels] of the difference))).
    """

    def __init__(self) -> None:
        """Initialize a new SpatialGate instance."""
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1, eps=1e-5, momentum=0.01)

    def forward(self, difference: Tensor) -> Tensor:
        """Weigh the pixels.

        Args:
            difference: optical minus SAR, shape (B, C, H, W).

        Returns:
            weights in 0..1, shape (B, 1, H, W).
        """
        extremes = (difference.amax(1, keepdim=True), difference.mean(1, keepdim=True))
        weights: Tensor = torch.sigmoid(self.bn(self.conv(torch.cat(extremes, dim=1))))
        return weights


class SqueezeExcitation(nn.Module):
    """Weighted sum of several maps, the weights of all channels drawn from all maps.

    Squeeze-excitation (Hu et al., 2018) over the concatenated channels; the weighted groups of
    channels are then summed. The concatenated map itself is never made.
    """

    def __init__(self, channels: int, maps: int) -> None:
        """Initialize a new SqueezeExcitation instance.

        Args:
            channels: channels C of each map.
            maps: number of maps.
        """
        super().__init__()
        total = channels * maps
        hidden = total // REDUCTION if total >= REDUCTION else total * REDUCTION
        self.squeeze = nn.Linear(total, hidden, bias=False)
        self.excite = nn.Linear(hidden, total, bias=False)

    def forward(self, *maps: Tensor) -> Tensor:
        """Weigh and sum.

        Args:
            *maps: maps of shape (B, C, H, W), as many as announced.

        Returns:
            their weighted sum, shape (B, C, H, W).
        """
        means = torch.cat([x.mean((2, 3)) for x in maps], dim=1)
        weights = torch.sigmoid(self.excite(F.relu(self.squeeze(means))))
        groups = weights[:, :, None, None].chunk(len(maps), dim=1)
        total = maps[0] * groups[0]
        for x, weight in zip(maps[1:], groups[1:], strict=True):
            total = torch.addcmul(total, x, weight)
        return total


class Distribution(nn.Module):
    """What the fused map has to say to one modality: d * sigmoid(conv3x3(d))."""

    def __init__(self, channels: int) -> None:
        """Initialize a new Distribution instance.

        Args:
            channels: channels C of the maps.
        """
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, fused: Tensor, own: Tensor) -> Tensor:
        """Update a modality's map.

        Args:
            x: the map as its encoder made it, shape (B, C, H, W).
            fused: the new cross-modal map, same shape.
            own: the multi-scale view of *x*, same shape.

        Returns:
            the updated map, shape (B, C, H, W).
        """
        difference = fused - own
        return torch.addcmul(x, difference, torch.sigmoid(self.conv(difference)))


class Fusion(Registered, ABC, name='fusion'):
    """What joins three maps after a stage of the encoders. Subclasses are registered by name.

    A network makes one after each stage, with the arguments *channels*, *cross*, *update_optical*
    and *update_sar*, see :class:`FusionBlock`. What *update_optical* or *update_sar* say nobody
    uses must have no parameters of its own: they would never learn.

    Example:
        >>> from torchgeo_cloudseg.models import find_fusion
        >>> class Mean(Fusion, name='example_mean'):
        ...     def __init__(self, channels, cross, update_optical, update_sar):
        ...         super().__init__()
        ...     def forward(self, optical, sar, cross):
        ...         return optical, sar, (optical + sar) / 2
        >>> find_fusion('example_mean').__name__
        'Mean'
    """

    @abstractmethod
    def forward(
        self, optical: Tensor, sar: Tensor, cross: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Fuse.

        Args:
            optical: shape (B, C, H, W).
            sar: shape (B, C, H, W).
            cross: shape (B, C, H, W); None after the first stage.

        Returns:
            the optical, SAR and cross-modal maps for the next stage, each (B, C, H, W).
        """


def find_fusion(fusion: str | type[Fusion]) -> type[Fusion]:
    """Find a fusion block.

    Args:
        fusion: its name, where it is defined (``my_package.my_module.MyBlock``), or its class.

    Returns:
        the class.

    Raises:
        ValueError: if there is none.

    Example:
        >>> find_fusion('cloudseg').__name__
        'FusionBlock'
    """
    return Fusion.find(fusion)


class FusionBlock(Fusion, name='cloudseg'):
    """Exchange between the modalities after one stage.

    With o, s, c the multi-scale views of the three maps and g the spatial gate (1 without it),
    the new cross-modal map is m = SE(g * o, s, c); optical and SAR become
    x + (m - o) * sigmoid(conv3x3(m - o)), each with its own convolution.
    """

    #: Weigh the optical pixels by their disagreement with SAR.
    spatial_gate = True

    def __init__(
        self,
        channels: int,
        cross: bool = True,
        update_optical: bool = True,
        update_sar: bool = True,
    ) -> None:
        """Initialize a new FusionBlock instance.

        Args:
            channels: channels C of the maps.
            cross: take a cross-modal map too (all stages but the first).
            update_optical: the updated optical map is used by somebody; without, it is passed on
                as it came, and there is no convolution that would never learn.
            update_sar: the same for SAR.
        """
        super().__init__()
        self.optical_scales = MultiScale(channels)
        self.sar_scales = MultiScale(channels)
        self.cross_scales = MultiScale(channels) if cross else None
        self.gate = SpatialGate() if self.spatial_gate else None
        self.mix = SqueezeExcitation(channels, 3 if cross else 2)
        self.to_optical = Distribution(channels) if update_optical else None
        self.to_sar = Distribution(channels) if update_sar else None

    def forward(
        self, optical: Tensor, sar: Tensor, cross: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Fuse.

        Args:
            optical: shape (B, C, H, W).
            sar: shape (B, C, H, W).
            cross: shape (B, C, H, W); only for a block made with ``cross=True``.

        Returns:
            the optical, SAR and cross-modal maps for the next stage, each (B, C, H, W).
        """
        o, s = self.optical_scales(optical), self.sar_scales(sar)
        gated = o if self.gate is None else o * self.gate(o - s)
        if self.cross_scales is None:
            fused = self.mix(gated, s)
        else:
            fused = self.mix(gated, s, self.cross_scales(cross))
        if self.to_optical is not None:
            optical = self.to_optical(optical, fused, o)
        if self.to_sar is not None:
            sar = self.to_sar(sar, fused, s)
        return optical, sar, fused


class UngatedFusionBlock(FusionBlock, name='cloudseg_ungated'):
    """The block of the teacher: without spatial gate, g = 1."""

    spatial_gate = False
